"""Start-up checks: what Django's own do not know about this platform."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from core.settings.env import Profile
from core.toolkit.sealing import derive_key


@register(Tags.security, deploy=True)
def check_profile(
    app_configs: Sequence[Any] | None,  # noqa: ARG001  # fixed by the framework
    **kwargs: Any,  # noqa: ARG001  # fixed by the framework
) -> list[CheckMessage]:
    """Refuse to deploy a profile that is made for one's own machine."""
    if settings.PROFILE == Profile.PRODUCTION:
        return []
    return [
        Error(
            f"The profile {settings.PROFILE!r} is not made for a deployment: its cookies travel in "
            "the clear and its accounts are known.",
            hint="Set DJANGO_SETTINGS_MODULE=core.settings.production.",
            id="core.E001",
        )
    ]


@register(Tags.security, deploy=True)
def check_secrets_keys(
    app_configs: Sequence[Any] | None,  # noqa: ARG001  # fixed by the framework
    **kwargs: Any,  # noqa: ARG001  # fixed by the framework
) -> list[CheckMessage]:
    """Refuse to deploy without keys of its own for what is kept sealed."""
    if settings.SECRETS_KEYS and derive_key(secret_key=settings.SECRET_KEY) not in (
        settings.SECRETS_KEYS
    ):
        return []
    return [
        Error(
            "Stored secrets are sealed under no key, or one that is derived from SECRET_KEY.",
            hint="Set SECRETS_KEYS to the base64 of 32 random bytes, from your secret store.",
            id="core.E002",
        )
    ]

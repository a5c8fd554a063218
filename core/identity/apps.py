"""The Django app of identity and access."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """People, teams, projects, roles, tokens, and the one function that says who may do what."""

    name = "core.identity"
    label = "identity"
    verbose_name = "Identity and access"

    def ready(self) -> None:
        """Register the hard denials of access changes, and what the log of settings watches."""
        from core.identity import denials, settings_log

        denials.register()
        settings_log.register()

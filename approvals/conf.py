"""Settings of approvals, read when asked."""

from django.conf import settings


def public_url() -> str:
    """Return the scheme and host people use, without a trailing slash. Setting `PUBLIC_URL`."""
    return str(settings.PUBLIC_URL).rstrip("/")

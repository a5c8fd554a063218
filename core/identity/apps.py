"""The Django app core.identity."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """Label and name of the app."""

    name = "core.identity"
    label = "identity"

"""The Django app audit."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Label and name of the app."""

    name = "audit"
    label = "audit"

"""The Django app approvals."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Label and name of the app."""

    name = "approvals"
    label = "approvals"

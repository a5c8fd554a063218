"""The Django app engine."""

from django.apps import AppConfig


class EngineConfig(AppConfig):
    """Label and name of the app."""

    name = "engine"
    label = "engine"

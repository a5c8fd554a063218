"""The Django app of the wiring itself: start-up checks, commands of no other app."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Label and name of the app."""

    name = "core"
    label = "core"

    def ready(self) -> None:
        """Register the start-up checks."""
        from core import checks  # noqa: F401  # importing registers them

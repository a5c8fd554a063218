"""Django's command line, with the embedded servers found when they run."""

import os
import sys


def main() -> None:
    """Run a management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings.local")
    from django.conf import settings
    from django.core.management import execute_from_command_line

    from core.settings.env import SettingsError

    try:
        settings.INSTALLED_APPS  # noqa: B018  # reading one setting loads them all
    except SettingsError as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

"""`manage.py write_reference`: write the generated part of docs/reference/."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.toolkit.api.reference import render_errors, render_openapi
from countersign.cli.reference import render_cli


class Command(BaseCommand):
    """Writes errors.md, openapi.yaml and cli.md out of the code; an architecture test compares."""

    help = "Write the generated part of docs/reference/ out of the code."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the folder to write to."""
        parser.add_argument("--folder", type=Path, default=Path("docs/reference"))

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002  # fixed by the framework
        """Write the files."""
        folder: Path = options["folder"]
        folder.mkdir(parents=True, exist_ok=True)
        pages = {
            "errors.md": render_errors(),
            "openapi.yaml": render_openapi(),
            "cli.md": render_cli(),
        }
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
            self.stdout.write(f"wrote {folder / name}")

"""`manage.py write_flow_reference`: write docs/reference/flow.md."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from engine.domain.flow.reference import render_reference


class Command(BaseCommand):
    """Writes flow.md out of the language's schema; a test compares."""

    help = "Write docs/reference/flow.md out of the language's schema."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the folder to write to."""
        parser.add_argument("--folder", type=Path, default=Path("docs/reference"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the page."""
        del args
        path: Path = options["folder"] / "flow.md"
        path.write_text(render_reference(), encoding="utf-8")
        self.stdout.write(f"wrote {path}")

"""`manage.py write_flow_reference`: write flow.md and actions.md in docs/reference."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from engine.actions import shell_run
from engine.actions.reference import render_actions
from engine.domain.flow.reference import render_reference
from engine.registry import actions


class Command(BaseCommand):
    """Writes flow.md and actions.md out of what the code declares; tests compare."""

    help = "Write docs/reference/flow.md and actions.md out of what the code declares."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the folder to write to."""
        parser.add_argument("--folder", type=Path, default=Path("docs/reference"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the pages, with the actions a deployment may switch on."""
        del args
        known = {**actions(), shell_run.SPEC.reference: shell_run.SPEC}
        pages = {"flow.md": render_reference(), "actions.md": render_actions(known.values())}
        for name, text in pages.items():
            path: Path = options["folder"] / name
            path.write_text(text, encoding="utf-8")
            self.stdout.write(f"wrote {path}")

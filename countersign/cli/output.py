"""What a command prints: JSON for programs, lines and tables for people. Read `Output` first."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 400  # columns where there is no terminal: what comes next cuts lines itself
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(value: object) -> str:
    """Return a text that does nothing to a terminal.

    Titles and comments are other people's: a control character in one could hide what is approved.
    """
    return _UNSEEN.sub("\ufffd", str(value))


def one_line(value: object) -> str:
    """Return a text on one line."""
    return " ".join(plain(value).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Prints for one command. With `as_json`, standard output holds JSON and nothing else."""

    as_json: bool = False

    @property
    def console(self) -> Console:
        """Return where people read; rich knows NO_COLOR and terminals without colors."""
        is_terminal = sys.stdout.isatty()
        return Console(
            file=sys.stdout,
            width=None if is_terminal else _PIPE_WIDTH,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=not is_terminal,
        )

    @property
    def is_live(self) -> bool:
        """Say whether somebody watches a terminal that can be drawn on."""
        return not self.as_json and self.console.is_terminal and not self.console.is_dumb_terminal

    def document(self, value: Any) -> None:
        """Print a JSON document, if JSON is wanted."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def record(self, value: Any) -> None:
        """Print one line of JSON of a stream, if JSON is wanted."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False))

    def line(self, text: str = "", *, style: str = "") -> None:
        """Print a line for people."""
        if not self.as_json:
            self.console.print(Text(plain(text), style=style))

    def note(self, text: str) -> None:
        """Say something beside the output, on standard error."""
        click.echo(plain(text), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table for people; nothing but its head where there are no rows."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for row in rows:
            table.add_row(*(styled(cell) for cell in row))
        self.console.print(table)


_STYLES: Mapping[str, str] = {
    **dict.fromkeys(("succeeded", "approved", "overridden", "published", "ok"), "green"),
    **dict.fromkeys(("failed", "rejected", "error", "HALTED", "governance-weakening"), "red"),
    **dict.fromkeys(("expired", "cancelled", "waiting", "WAITING", "warning", "PAUSED"), "yellow"),
    **dict.fromkeys(("running", "RUNNING", "READY"), "cyan"),
    **dict.fromkeys(("skipped", "unreached", "pending"), "dim"),
}


def styled(cell: object) -> Text:
    """Return a cell's text, colored if it is a status or an outcome."""
    text = one_line("" if cell is None else cell)
    return Text(text, style=_STYLES.get(text, ""))

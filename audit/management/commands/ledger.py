"""`manage.py ledger VERB`: keys, sealing, anchoring, exporting and checking. Read `Verb`.

Each verb is a module of `audit.commands`, found by its name.
"""

import pkgutil
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from django.core.management.base import BaseCommand, CommandError

from audit import commands
from core.kernel.errors import PlatformError


class Verb(Protocol):
    """A module of `audit.commands`. `HELP` is a sentence."""

    HELP: str
    add_arguments: Callable[[ArgumentParser], None]

    def handle(self, options: Mapping[str, Any], out: BaseCommand) -> int:
        """Do it; `out.stdout` and `out.stderr` are where it writes. Return the exit code."""


class Command(BaseCommand):
    """Looks after the ledger."""

    help = "Look after the ledger: keys, sealing, anchors, exports, erasing, and what is wrong."
    # A fault elsewhere must not keep anybody from looking after the evidence.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare a command for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for name, verb in list_verbs().items():
            verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=verb.HELP))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it. Raises: CommandError."""
        verb = list_verbs()[options.pop("verb")]
        try:
            code = verb.handle(options, self)
        except PlatformError as error:
            raise CommandError(error.message, returncode=2) from error
        if code:
            raise SystemExit(code)


def list_verbs() -> dict[str, Verb]:
    """Return every verb by its name."""
    names = sorted(item.name for item in pkgutil.iter_modules(commands.__path__))
    found = {name: import_module(f"{commands.__name__}.{name}") for name in names}
    return {name.replace("_", "-"): cast("Verb", module) for name, module in found.items()}

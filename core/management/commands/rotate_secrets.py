"""`manage.py rotate_secrets`: seal everything that is kept sealed under the newest key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from core.kernel.clock import SYSTEM_CLOCK
from core.kernel.record import SYSTEM_ACTOR, Draft, Origin, Via
from core.toolkit import ledger
from core.toolkit.sealed_columns import Rotation, rotate


class Command(BaseCommand):
    """Opens every sealed value and seals it under the first key of SECRETS_KEYS."""

    help = (
        "Seal every stored secret under the first key of SECRETS_KEYS. Run it after putting a new "
        "key first; afterwards the old one can go. Ends with 1 and names what does not open."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Do it, and put it on record. Raises: CommandError."""
        done = rotate()
        _record(done)
        self.stdout.write(
            f"{done.sealed_count:,} values are sealed under the newest key now; "
            f"{done.newest_count:,} were already."
        )
        if done.unreadable:
            lines = "\n".join(f"  {line}" for line in done.unreadable)
            raise CommandError(
                f"{len(done.unreadable):,} values do not open; keep the old keys:\n{lines}"
            )


def _record(done: Rotation) -> None:
    with transaction.atomic():
        ledger.record(
            stream="identity",
            draft=Draft(
                kind="secrets.rotated",
                at=SYSTEM_CLOCK.now(),
                origin=Origin(actor=SYSTEM_ACTOR, via=Via.COMMAND),
                subject="secrets",
                data={
                    "sealed": done.sealed_count,
                    "newest": done.newest_count,
                    "unreadable": len(done.unreadable),
                },
            ),
        )

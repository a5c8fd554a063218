"""`manage.py sweep`: the process that guarantees progress."""

import signal
import threading
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection

from core.kernel import ids, limits
from engine import store
from engine.gates import cache
from engine.sweep import sweep_once

log = structlog.get_logger(__name__)

_FORGET_EVERY = 600  # rounds between two clean-ups of dead workers and of too many results


class Command(BaseCommand):
    """Sweep every second until told to stop."""

    help = "Wake due runs, free lost ones, expire requests, retry deliveries."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare `--once`."""
        parser.add_argument("--once", action="store_true", help="sweep once and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep."""
        del args
        if options["once"]:
            self.stdout.write(str(sweep_once()))
            return
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        rounds = 0
        while not stopping.is_set():
            has_more = self._round(rounds)
            rounds += 1
            stopping.wait(0.0 if has_more else limits.SWEEP_SECONDS + ids.jitter(spread=0.2))

    def _round(self, number: int) -> bool:
        """Sweep once; say whether there is more to be swept at once."""
        try:
            swept = sweep_once()
            if number % _FORGET_EVERY == 0:
                store.forget_workers()
                cache.trim_cache()
        except DatabaseError as error:
            # The database restarts, or the network broke: the next round tries again.
            log.warning("engine.sweep_failed", reason=str(error).strip())
            connection.close()
            return False
        if not swept.is_idle:
            log.info(
                "engine.swept",
                due=swept.due,
                lost=swept.lost,
                ready=swept.ready,
                others=swept.others,
            )
        return swept.has_more

"""The sealer as a process. Read `Sealer` first.

Idle, it costs one probe of an index every second. While entries wait it seals batch after batch.
Where it may not sign it says so, loudly and on record, and looks again: the process lives, so that
sealing goes on by itself once somebody has seen to it.
"""

import threading

import structlog
from django.db import DatabaseError, connection, transaction

from audit.domain.entry import read_entry
from audit.domain.errors import SealRefusedError
from audit.realtime.topics import LEDGER_GROUP
from audit.sealing import rows
from audit.sealing.guarding import KnownHead, ask_witnesses
from audit.sealing.keys import KeyFolder
from audit.sealing.recording import make_origin, record_act
from audit.sealing.sealer import Sealed, seal_batch
from core.kernel import ids
from core.kernel.clock import Clock
from core.kernel.limits import (
    SEAL_LOOK_OUTSIDE_SECONDS,
    SEAL_REFUSED_SECONDS,
    SEAL_WARN_SECONDS,
)
from core.toolkit.realtime import publish

log = structlog.get_logger(__name__)

REFUSED_KIND = "seal.refused"


class Sealer:
    """Seals one log, again and again."""

    def __init__(self, *, folder: KeyFolder, origin: str, clock: Clock) -> None:
        """Say with which keys, under which name."""
        self._folder = folder
        self._origin = origin
        self._clock = clock
        self._looked_at: float | None = None  # when somebody outside was asked last
        self._refused: str | None = None  # what was said last, until something is sealed
        self._warned_at = 0.0

    def seal_all(self) -> int:
        """Seal until nothing waits, or another sealer is at it; return the number of entries.

        Raises:
            SealRefusedError: if the sealer may not sign; entries may have been sealed before.
        """
        total = 0
        while True:
            done = self.seal_once()
            total += done.count
            if not done.has_more:
                return total

    def seal_once(self) -> Sealed:
        """Seal one batch.

        Raises:
            SealRefusedError: if the sealer may not sign.
        """
        return seal_batch(folder=self._folder, origin=self._origin, known=self._look_outside())

    def run(self, *, stopping: threading.Event, seconds: float) -> None:
        """Seal whatever comes until told to stop, looking every so many seconds."""
        log.info("audit.sealer_started", origin=self._origin)
        while not stopping.is_set():
            pause = self._round(seconds)
            stopping.wait(pause + ids.jitter(spread=0.2 * pause) if pause else 0.0)

    def _round(self, seconds: float) -> float:
        """Do one look; return the seconds until the next."""
        try:
            # The first look goes through to the database and the folder, entries or not: a sealer
            # that may not sign says so when it starts.
            if self._looked_at is not None and self._refused is None and not rows.has_pending():
                return seconds
            done = self.seal_once()
        except SealRefusedError as error:
            self._say(error)
            return max(seconds, SEAL_REFUSED_SECONDS)
        except DatabaseError as error:
            # The database restarts, or the network broke: the next look tries again.
            log.warning("audit.seal_failed", reason=str(error).strip())
            connection.close()
            return seconds
        except OSError as error:
            # The commit stands; the next batch brings `last-signed` up.
            log.error("audit.last_signed_unwritten", reason=str(error))  # noqa: TRY400 - no bug
            return seconds
        if self._refused is not None:
            log.info("audit.seal_resumed", was=self._refused)
            self._refused = None
        if done.count:
            log.info("audit.sealed", entries=done.count, size=done.size)
            publish(groups=[LEDGER_GROUP], signal={"size": done.size})
        return 0.0 if done.has_more else seconds

    def _look_outside(self) -> tuple[KnownHead, ...]:
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < SEAL_LOOK_OUTSIDE_SECONDS:
            return ()
        known = ask_witnesses(origin=self._origin)
        self._looked_at = now
        return known

    def _say(self, error: SealRefusedError) -> None:
        """Log a refusal again and again, and put it on record once."""
        self._looked_at = None  # what is outside is looked at again before anything is signed
        now = self._clock.monotonic()
        if self._refused == error.message and now - self._warned_at < SEAL_WARN_SECONDS:
            return
        log.error("audit.seal_refused", reason=error.reason.value, detail=error.message)
        if self._refused != error.message:
            _try_record(error)
        self._refused, self._warned_at = error.message, now


def _try_record(error: SealRefusedError) -> None:
    """Put a refusal on record, unless the last one there says the same."""
    try:
        with transaction.atomic():
            if _last_recorded() != (error.reason.value, error.message):
                record_act(
                    kind=REFUSED_KIND,
                    origin=make_origin(),
                    subject="log",
                    data={"reason": error.reason.value, "detail": error.message},
                )
    except DatabaseError as failure:
        log.warning("audit.refusal_unrecorded", reason=str(failure).strip())
        connection.close()


def _last_recorded() -> tuple[str, str] | None:
    bodies = rows.list_recorded(kind=REFUSED_KIND)
    if not bodies:
        return None
    data = read_entry(bodies[-1]).data
    return str(data["reason"]), str(data["detail"])

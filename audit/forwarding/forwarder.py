"""Sending what is sealed to a sink, batch by batch. Read `forward_once`.

At least once, in the order of the log, and nothing skipped: the cursor is the leaf index up to
which a sink has everything, and moves only once the sink has shown that it has the batch. Sealed
entries only, so that the order is the tree's and never changes afterwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction

from audit import store
from audit.domain import syslog
from audit.domain.entry import EntryView, leaf_hash, read_entry
from audit.domain.errors import EntryInvalidError
from audit.forwarding.events import write_event
from audit.forwarding.https import send_batch
from audit.forwarding.syslog import send_messages
from audit.keeping import Job
from audit.outward import conf, rows
from audit.outward.posting import Failure, delay_for
from audit.outward.rows import Cursor, SealedEntry, Taken
from audit.outward.targets import HttpsSink, SinkTarget, name_kind
from core.kernel import ids, limits
from core.kernel.record import SYSTEM_ACTOR, Draft, Origin, Via
from core.toolkit.db import read_database_clock

_log = structlog.get_logger(__name__)

LEDGER_STREAM = "ledger"
_LEASE = timedelta(seconds=limits.FORWARD_TIMEOUT_SECONDS + 15)
_ORIGIN = Origin(actor=SYSTEM_ACTOR, via=Via.ENGINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Leaves up to `end`, of which those that pass the filter are written out in `events`."""

    end: int
    mark: bytes
    chosen: tuple[tuple[SealedEntry, EntryView, str], ...]


def list_forward_jobs() -> Iterable[Job]:
    """Yield the keeper's job of each sink."""
    for sink in conf.sinks():
        yield Job(
            name=f"forward:{sink.name}",
            run_once=_ForwardRound(sink),
            seconds=limits.FORWARD_SECONDS,
        )


@dataclass(frozen=True, slots=True)
class _ForwardRound:
    sink: SinkTarget

    def __call__(self) -> int:
        return forward_once(self.sink)


def forward_once(sink: SinkTarget) -> int:
    """Send a sink the next batch; return how many leaves it is further now.

    0 if it has everything, is not due, has stopped, or the batch failed; why is in its cursor. One
    query if there is nothing to do.

    Transaction: none may be open; sending takes seconds.
    """
    taken = rows.take_batch(name=sink.name)
    if taken is None:
        rows.open_sink(name=sink.name, starts_now=sink.starts_now)
        taken = rows.take_batch(name=sink.name)
        assert taken is not None, "the cursor was made just now"
    cursor = taken.cursor
    if cursor.state != "going" or not cursor.is_due:
        return 0
    fault = _find_fault(taken)
    if fault is not None:
        _stop(sink, cursor, Failure(reason=fault, is_final=True))
        return 0
    if not taken.entries:
        return 0
    return _send(sink, cursor, _make_batch(sink, taken.entries))


def _send(sink: SinkTarget, cursor: Cursor, batch: _Batch) -> int:
    if batch.chosen:
        if not rows.claim(cursor, aim=batch.end, lease=_LEASE):
            return 0  # another keeper has moved it
        failure = _deliver(sink, batch, first=cursor.position)
        if failure is not None:
            _note(sink, cursor, failure)
            return 0
    if not rows.move(cursor, position=batch.end, mark=batch.mark, pause=timedelta(0)):
        return 0
    return batch.end - cursor.position


def _deliver(sink: SinkTarget, batch: _Batch, *, first: int) -> Failure | None:
    if isinstance(sink, HttpsSink):
        events = [text for _, _, text in batch.chosen]
        return send_batch(sink, events, first=first, last=batch.end - 1)
    sender = syslog.Sender(
        host=conf.host_name(), enterprise=sink.enterprise, bytes_max=sink.message_bytes_max
    )
    messages = [
        syslog.write_message(
            view,
            place=syslog.Place(
                entry_id=entry.entry_id,
                leaf_index=entry.leaf_index,
                leaf_hex=entry.leaf.hex(),
            ),
            text=text,
            sender=sender,
        )
        for entry, view, text in batch.chosen
    ]
    return send_messages(sink, messages)


def _make_batch(sink: SinkTarget, entries: tuple[SealedEntry, ...]) -> _Batch:
    """Return as many of the entries as fit one batch, at least one."""
    source = conf.source()
    chosen: list[tuple[SealedEntry, EntryView, str]] = []
    end, mark, size = entries[0].leaf_index, b"", 0
    for entry in entries:
        view = read_entry(entry.body)
        if not sink.kinds or view.kind.startswith(sink.kinds):
            text = write_event(entry, view, form=sink.format, source=source)
            size += len(text)
            if chosen and size > limits.FORWARD_BYTES_MAX:
                break
            chosen.append((entry, view, text))
        end, mark = entry.leaf_index + 1, entry.leaf
    return _Batch(end=end, mark=mark, chosen=tuple(chosen))


def _find_fault(taken: Taken) -> str | None:
    """Return what is wrong with the log as this sink knows it, `None` if nothing is."""
    cursor = taken.cursor
    if cursor.position and taken.before != cursor.mark:
        return (
            f"Leaf {cursor.position - 1} is not the one this sink was sent: the log was put back "
            "or changed. If that was a restore, say from which leaf with `ledger forward --from`."
        )
    for index, entry in enumerate(taken.entries, start=cursor.position):
        if entry.leaf_index != index:
            return f"Leaf {index} is missing from the log; `manage.py verify_ledger` says more."
        if leaf_hash(entry.body) != entry.leaf:
            return f"Leaf {index} is not the hash of its entry; the ledger does not verify."
        try:
            read_entry(entry.body)
        except EntryInvalidError as error:
            return f"The entry at leaf {index} is none: {error.message}"
    return None


def _note(sink: SinkTarget, cursor: Cursor, failure: Failure) -> None:
    if failure.is_final:
        _stop(sink, cursor, failure)
        return
    delay = delay_for(attempt=cursor.attempt_count + 1, failure=failure)
    delay += timedelta(seconds=ids.jitter(spread=delay.total_seconds() / 4))
    rows.note_failure(cursor, reason=failure.reason, delay=delay)
    _log.warning(
        "audit.forward_failed",
        sink=sink.name,
        attempt=cursor.attempt_count + 1,
        again_seconds=round(delay.total_seconds()),
        reason=failure.reason,
    )


def _stop(sink: SinkTarget, cursor: Cursor, failure: Failure) -> None:
    """Stop a sink until somebody says `ledger forward --resume`, and put that on record."""
    with transaction.atomic():
        if not rows.note_failure(
            cursor, reason=failure.reason, delay=timedelta(0), state="stopped"
        ):
            return
        draft = Draft(
            kind="sink.stopped",
            at=read_database_clock(),
            origin=_ORIGIN,
            subject=sink.name,
            data={"kind": name_kind(sink), "leaf": cursor.position},
            payloads={"reason": failure.reason},
        )
        store.append(stream=LEDGER_STREAM, drafts=(draft,))
    _log.error("audit.forward_stopped", sink=sink.name, reason=failure.reason)

"""What an operator does about a sink, on record. Read `resume_sink` and `rewind_sink`.

Both are acts of whoever has a shell on the keeper's machine; who that was, the machine's own log
knows. The entry has the reason they gave.
"""

from django.db import transaction

from audit import store
from audit.outward import rows
from audit.outward.errors import OutwardMissingError, OutwardSettingError
from core.kernel.record import SYSTEM_ACTOR, Draft, Origin, Via
from core.toolkit.db import read_database_clock

LEDGER_STREAM = "ledger"
_ORIGIN = Origin(actor=SYSTEM_ACTOR, via=Via.COMMAND)


@transaction.atomic
def resume_sink(*, name: str, reason: str) -> None:
    """Let a stopped sink go on where it stopped. Raises: OutwardMissingError."""
    if not rows.resume(role="sink", name=name):
        raise OutwardMissingError(f"There is no sink {name} that has stopped.", name=name)
    _record("sink.resumed", name=name, reason=reason)


@transaction.atomic
def rewind_sink(*, name: str, leaf_index: int, reason: str) -> None:
    """Have a sink sent everything from a leaf on again, and let it go on.

    Raises:
        OutwardMissingError: if it was never sent anything.
        OutwardSettingError: if the log has no such leaf, and does not end there.
    """
    end, _ = rows.find_end()
    if not 0 <= leaf_index <= end:
        raise OutwardSettingError(f"The log has the leaves 0 to {end - 1}.", name=name)
    mark = rows.find_leaf(leaf_index=leaf_index - 1) if leaf_index else None
    if not rows.rewind(name=name, position=leaf_index, mark=mark):
        raise OutwardMissingError(f"There is no sink {name} that was sent anything.", name=name)
    _record("sink.rewound", name=name, reason=reason, leaf=leaf_index)


def _record(kind: str, *, name: str, reason: str, leaf: int | None = None) -> None:
    draft = Draft(
        kind=kind,
        at=read_database_clock(),
        origin=_ORIGIN,
        subject=name,
        data={} if leaf is None else {"leaf": leaf},
        payloads={"reason": reason},
    )
    store.append(stream=LEDGER_STREAM, drafts=(draft,))

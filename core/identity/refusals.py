"""Refused acts on record, though what refused them rolls back. Read `recording` first.

`require` runs inside the transaction of a service, and its error rolls that back: an entry written
there would vanish with it. A second connection would keep it, but a web process whose every thread
holds one connection of the pool while it waits for a second one stops for good. So a refusal is
only *noted* while the transaction runs, and *recorded* where the work ends, after the rollback, in
a transaction of its own on the same connection:

* a service under `core.identity.acts.act` ends there;
* every HTTP request ends in `core.identity.middleware`, whatever its view does;
* with no transaction open, a refusal is recorded on the spot.

What is left is a bug: noted inside somebody's bare transaction with no end around it. Then nothing
can be recorded, and the log has it as an error.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import structlog
from django.db import transaction

from core.kernel.record import Draft
from core.toolkit import ledger

STREAM = "access"

_log = structlog.get_logger(__name__)
_noted: ContextVar[list[Draft] | None] = ContextVar("identity_refusals", default=None)


@contextmanager
def recording() -> Iterator[None]:
    """Record, when the block ends in whatever way, the refusals that were noted in it.

    Transaction: must be around every transaction, never inside one.
    """
    if _noted.get() is not None:
        yield
        return
    drafts: list[Draft] = []
    reset = _noted.set(drafts)
    try:
        yield
    finally:
        _noted.reset(reset)
        for draft in drafts:
            _record(draft)


def note(draft: Draft) -> None:
    """Have a refusal recorded: when the surrounding work has ended, or at once if there is none."""
    drafts = _noted.get()
    if drafts is None:
        _record(draft)
    else:
        drafts.append(draft)


def _record(draft: Draft) -> None:
    with ExitStack() as stack:
        try:
            # `durable` refuses to be nested: only an outermost transaction is one of its own.
            stack.enter_context(transaction.atomic(durable=True))
        except RuntimeError:
            _log.error(
                "identity.refusal_unrecorded",
                kind=draft.kind,
                actor=draft.origin.actor.id,
                subject=draft.subject,
                data=dict(draft.data),
                reason=draft.reason,
            )
            return
        ledger.record(stream=STREAM, draft=draft)

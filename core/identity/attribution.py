"""Whose doing the rows are that somebody is about to change. Read `attributed` first.

Services take a principal and need none of this. It is for what happens behind their back: the log
of settings learns of a saved row from the framework, which does not say who saved it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

from core.kernel.record import SYSTEM_ACTOR, Origin, Via

OriginSource: TypeAlias = Callable[[], Origin | None]

_UNATTRIBUTED: Final = Origin(actor=SYSTEM_ACTOR, via=Via.COMMAND)
_source: ContextVar[OriginSource | None] = ContextVar("identity_attribution", default=None)


@contextmanager
def attributed(source: OriginSource) -> Iterator[None]:
    """Attribute what changes in the block to an origin.

    Args:
        source: is asked at each change, because a request knows its user only once somebody looks;
            `None` leaves a change to the platform itself.
    """
    reset = _source.set(source)
    try:
        yield
    finally:
        _source.reset(reset)


def current_origin() -> Origin:
    """Return whose doing it is; outside every `attributed` block, the platform's own."""
    source = _source.get()
    return (source() if source is not None else None) or _UNATTRIBUTED

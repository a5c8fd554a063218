"""Having the newest tree head kept elsewhere, now and then. Read `anchor_once`.

An anchoring is itself on record, which makes the log longer, which would be a reason to anchor it.
So an anchor has its turn at most every `LEDGER_ANCHOR_SECONDS`, and only if something was sealed
that is not about anchoring.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from django.db import transaction

from audit import store
from audit.anchoring import rows
from audit.anchoring.files import keep_note
from audit.anchoring.rows import AnchorStanding, NewestHead
from audit.anchoring.webhooks import post_note
from audit.anchoring.witnesses import ask_witness
from audit.domain.merkle import consistency_ranges
from audit.domain.notes import VerifierKey
from audit.keeping import Job
from audit.outward import conf
from audit.outward import rows as cursors
from audit.outward.posting import Failure, delay_for
from audit.outward.rows import Cursor
from audit.outward.targets import (
    AnchorTarget,
    FileAnchor,
    WebhookAnchor,
    WitnessAnchor,
    name_kind,
)
from audit.stored_hashes import make_tree
from core.kernel import ids, limits
from core.kernel.record import SYSTEM_ACTOR, Draft, Origin, Via
from core.toolkit.db import read_database_clock

_log = structlog.get_logger(__name__)

ANCHORED_KIND: Final = "log.anchored"
DISPUTED_KIND: Final = "log.disputed"
LEDGER_STREAM: Final = "ledger"
_OWN_KINDS: Final = (ANCHORED_KIND, DISPUTED_KIND)
_LEASE = timedelta(seconds=limits.ANCHOR_TIMEOUT_SECONDS * limits.ANCHOR_STEP_COUNT_MAX + 15)
_ORIGIN = Origin(actor=SYSTEM_ACTOR, via=Via.ENGINE)


def list_anchor_jobs() -> Iterable[Job]:
    """Yield the keeper's job of each anchor."""
    for target in conf.anchors():
        yield Job(
            name=f"anchor:{target.name}",
            run_once=_AnchorRound(target=target),
            seconds=limits.ANCHOR_POLL_SECONDS,
        )


@dataclass(slots=True, kw_only=True)
class _AnchorRound:
    """One anchor's turns in one keeper.

    The first one asks whatever remembers trees, even if nothing is new: after a restore, that is
    how we hear of what we no longer know.
    """

    target: AnchorTarget
    _has_asked: bool = field(default=False)

    def __call__(self) -> int:
        remembers = not isinstance(self.target, WebhookAnchor)
        is_forced = remembers and not self._has_asked
        self._has_asked = True
        return anchor_once(self.target, is_forced=is_forced)


def anchor_once(target: AnchorTarget, *, is_forced: bool = False) -> int:
    """Have an anchor keep the newest tree head; 1 if it is further now, else 0.

    0 if nothing is new or due, or it failed; why is in its cursor. One query if there is nothing
    to do.

    Args:
        target: the anchor.
        is_forced: ask it even if nothing is due or new.

    Transaction: none may be open; asking takes seconds.
    """
    standing = rows.read_standing(name=target.name)
    if standing is None:
        return 0
    if standing.cursor is None:
        cursors.open_anchor(name=target.name, origin=standing.head.origin)
        standing = rows.read_standing(name=target.name)
        assert standing is not None, "heads stay"
    cursor = standing.cursor
    assert cursor is not None, "the cursor was made just now"
    if not is_forced and not _has_reason(standing, cursor):
        return 0
    if not cursors.claim(cursor, aim=None, lease=_LEASE):
        return 0  # another keeper has moved it
    answer = _submit(target, standing.head, cursor)
    if isinstance(answer, Failure):
        _note(target, standing.head, cursor, answer)
        return 0
    return _receive(target, standing.head, cursor, answer)


def _has_reason(standing: AnchorStanding, cursor: Cursor) -> bool:
    if not cursor.is_due:
        return False
    if cursor.state == "disputed":
        return True  # the alarm ends when the anchor agrees again
    return standing.head.size > cursor.position and rows.has_news(
        start=cursor.position, end=standing.head.size, ignored=_OWN_KINDS
    )


def _submit(target: AnchorTarget, head: NewestHead, cursor: Cursor) -> str | Failure:
    match target:
        case FileAnchor():
            keys = tuple(VerifierKey.parse(line) for line in rows.list_verifiers())
            return keep_note(target, head, keys=keys)
        case WebhookAnchor():
            return post_note(target, head)
        case WitnessAnchor():
            return ask_witness(
                target,
                head,
                known_size=min(cursor.position, head.size),
                find_path=lambda first: _find_path(first, head.size),
            )


def _find_path(first: int, size: int) -> list[bytes]:
    tree = make_tree(size=size, ranges=consistency_ranges(first, size=size))
    return tree.consistency_path(first)


def _receive(target: AnchorTarget, head: NewestHead, cursor: Cursor, answer: str) -> int:
    """Keep what an anchor answered; on record the first time it took this tree head."""
    kind = name_kind(target)
    position = max(head.size, cursor.position)
    with transaction.atomic():
        pause = timedelta(seconds=conf.anchor_seconds())
        if not cursors.move(cursor, position=position, mark=head.root, pause=pause):
            return 0
        if not rows.add_receipt(anchor=target.name, kind=kind, head=head, answer=answer):
            return 0
        data: dict[str, str | int] = {
            "kind": kind,
            "size": head.size,
            "root": head.root.hex(),
        }
        _record(ANCHORED_KIND, target=target, data=data)
    _log.info("audit.anchored", anchor=target.name, size=head.size)
    return 1


def _note(target: AnchorTarget, head: NewestHead, cursor: Cursor, failure: Failure) -> None:
    delay = delay_for(attempt=cursor.attempt_count + 1, failure=failure)
    delay += timedelta(seconds=ids.jitter(spread=delay.total_seconds() / 4))
    if failure.told is None:
        cursors.note_failure(cursor, reason=failure.reason, delay=delay)
        _log.warning(
            "audit.anchor_failed",
            anchor=target.name,
            size=head.size,
            attempt=cursor.attempt_count + 1,
            again_seconds=round(delay.total_seconds()),
            reason=failure.reason,
        )
        return
    with transaction.atomic():
        cursors.note_failure(
            cursor, reason=failure.reason, delay=delay, state="disputed", told=failure.told
        )
        if cursor.state != "disputed":
            size, root = failure.told
            data: dict[str, str | int] = {"kind": name_kind(target), "size": size}
            if root is not None and any(root):
                data["root"] = root.hex()
            _record(DISPUTED_KIND, target=target, data=data, reason=failure.reason)
    # Somebody outside knows a log that we do not: whoever reads the logs must see it each time.
    _log.error("audit.log_disputed", anchor=target.name, reason=failure.reason)


def _record(
    kind: str, *, target: AnchorTarget, data: dict[str, str | int], reason: str = ""
) -> None:
    draft = Draft(
        kind=kind,
        at=read_database_clock(),
        origin=_ORIGIN,
        subject=target.name,
        data=data,
        payloads={"reason": reason} if reason else {},
    )
    store.append(stream=LEDGER_STREAM, drafts=(draft,))

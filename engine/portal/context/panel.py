"""The chosen step of a run. Read `make_panel` first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.kernel.types import Json
from engine.domain.events import EventKind, find_decided
from engine.domain.keys import path_of
from engine.domain.nodes import index_plan
from engine.domain.plan import Uses
from engine.portal.context.address import Query
from engine.portal.context.steps import StepWords, describe_action, explain_why, say_took
from engine.portal.context.tree import Shown, make_shown
from engine.portal.panels import WaitPanel
from engine.portal.statuses import say_step
from engine.selectors.run_pages import RunPage

_NEED_COUNT_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """A failed attempt."""

    number: int
    words: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The chosen step. `arguments` are as the definition writes them."""

    key: str
    title: str
    mark: str
    word: str
    action: str
    needs: tuple[tuple[str, str], ...]
    more_needs: int
    why: str
    error_kind: str
    error_message: str
    attempt: int
    attempts: tuple[AttemptLine, ...]
    started_at: datetime | None
    took: str
    arguments: Shown | None
    outputs: Shown | None
    wait: WaitPanel | None


def make_panel(
    chosen: StepWords, page: RunPage, *, panels: Mapping[str, WaitPanel], query: Query
) -> Panel:
    """Return what is shown of one step of a run.

    Args:
        chosen: the step.
        page: what was read.
        panels: what is known of waits, by step key.
        query: the address, for links to other steps.
    """
    view = chosen.view
    assert view is not None, "a step of a run has a state"
    step = index_plan(page.plan).nodes[path_of(view.key)].step
    undo = step.compensate if view.undoes else None
    verb = undo.uses if undo else step.verb
    arguments: Json = dict(verb.arguments) if isinstance(verb, Uses) else None
    return Panel(
        key=chosen.key,
        title=chosen.title,
        mark=chosen.mark,
        word=chosen.word,
        action=verb.action if isinstance(verb, Uses) else describe_action(step),
        needs=()
        if view.undoes
        else tuple(
            (say_step(need), query.change(step=need, show=""))
            for need in step.needs[:_NEED_COUNT_SHOWN]
        ),
        more_needs=0 if view.undoes else max(0, len(step.needs) - _NEED_COUNT_SHOWN),
        why=explain_why(view),
        error_kind=view.error_kind or "",
        error_message=view.error_message or "",
        attempt=view.attempt,
        attempts=_attempts(page, view.key),
        started_at=_began_at(page, view.key),
        took=say_took(chosen.seconds),
        arguments=make_shown(arguments) if arguments else None,
        outputs=make_shown(dict(view.outputs)) if view.outputs else None,
        wait=panels.get(view.key),
    )


def _attempts(page: RunPage, key: str) -> tuple[AttemptLine, ...]:
    lines = []
    for listing in page.events:
        event = listing.event
        kinds = (EventKind.ATTEMPT_FAILED, EventKind.ATTEMPT_LOST)
        if event.kind not in kinds or event.data.get("key") != key:
            continue
        error = str(event.data.get("error", "its worker was lost"))
        message = str(event.payloads.get("message", ""))
        lines.append(
            AttemptLine(
                number=int(str(event.data.get("attempt", 0))),
                words=f"{error}: {message}" if message else error,
                at=event.at,
            )
        )
    return tuple(lines)


def _began_at(page: RunPage, key: str) -> datetime | None:
    """Return when a step first began or was asked for."""
    for listing in page.events:
        event = listing.event
        if event.kind == EventKind.APPROVAL_REQUESTED and event.data.get("key") == key:
            return event.at
        following = (find_decided(event) or {}).get("next", ())
        if any(item["key"] == key for item in following):
            return event.at
    return None

"""The chosen step of a run. Read `make_panel` first."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from django.urls import reverse

from core.kernel.types import Json
from core.toolkit.portal.address import Query
from core.toolkit.portal.tree import Shown, make_shown
from core.toolkit.portal.words import say_instant
from engine.domain.events import EventKind, find_decided
from engine.domain.external import find_topic
from engine.domain.keys import path_of, sibling_key
from engine.domain.nodes import index_plan
from engine.domain.plan import Call, Step, Uses, Verb, inner_steps
from engine.domain.state import RunStatus, StepStatus
from engine.portal.context.instances import InstanceTable, find_instances, make_instances
from engine.portal.context.mentions import mention_known
from engine.portal.context.plan_graph import describe_container, describe_verb
from engine.portal.context.sentences import Telling, tell
from engine.portal.context.steps import (
    StepWords,
    explain_why,
    say_progress,
    say_took,
)
from engine.portal.context.waiting import WaitLine, explain_waits
from engine.portal.naming import Titles, short_key
from engine.portal.panels import WaitPanel
from engine.portal.statuses import say_step
from engine.selectors.run_pages import RunPage
from engine.selectors.step_views import StepReader, StepView
from engine.selectors.step_waits import WaitKind

_NEED_COUNT_SHOWN: Final = 8
_STORY_COUNT: Final = 5
_FAILURES: Final = {
    EventKind.ATTEMPT_FAILED: "it failed",
    EventKind.ATTEMPT_LOST: "its worker was lost",
    EventKind.ATTEMPT_UNCERTAIN: "nobody knows whether it happened",
}
_OPENED: Final = frozenset(
    {
        EventKind.APPROVAL_REQUESTED,
        EventKind.QUESTION_ASKED,
        EventKind.EVENT_AWAITED,
        EventKind.EVENT_EMITTED,
        EventKind.CHILD_STARTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """A failed attempt."""

    number: int
    words: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One more thing about a step, perhaps with where it leads."""

    name: str
    words: str
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryLine:
    """Something that happened to the step."""

    mark: str
    text: str
    at: datetime
    href: str


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
    is_open: bool
    took: str
    arguments: Shown | None
    outputs: Shown | None
    wait: WaitPanel | None
    waits: tuple[WaitLine, ...]
    facts: tuple[Fact, ...]
    item: Shown | None
    instances: InstanceTable | None
    story: tuple[StoryLine, ...]
    story_href: str
    retry_href: str  # "" where it cannot be tried again, or the reader may not
    skip_href: str


def make_panel(
    chosen: StepWords,
    page: RunPage,
    *,
    panels: Mapping[str, WaitPanel],
    telling: Telling,
    query: Query,
) -> Panel:
    """Return what is shown of one step of a run.

    Args:
        chosen: the step.
        page: what was read.
        panels: what is known of waits, by step key.
        telling: what steps are called and events are told with.
        query: the address, for links to other steps.
    """
    view = chosen.view
    assert view is not None, "a step of a run has a state"
    node = index_plan(page.plan).nodes.get(path_of(view.key))
    step = node.step if node is not None else None
    undo = step.compensate if step is not None and view.undoes else None
    verb = undo.uses if undo else step.verb if step is not None else None
    arguments: Json = dict(verb.arguments) if isinstance(verb, Uses | Call) else None
    needs = step.needs if step is not None and not view.undoes else ()
    wait, titles = panels.get(view.key), telling.titles

    def link_step(key: str) -> str:
        return query.change(step=key, show="", event="", page="", state="")

    return Panel(
        key=chosen.key,
        title=chosen.title,
        mark=chosen.mark,
        word=chosen.word,
        action=_say_action(step, verb),
        needs=tuple(
            (say_step(need), link_step(short_key(sibling_key(view.key, need))))
            for need in needs[:_NEED_COUNT_SHOWN]
        ),
        more_needs=max(0, len(needs) - _NEED_COUNT_SHOWN),
        why=explain_why(view),
        error_kind=view.error_kind or "",
        error_message=view.error_message or "",
        attempt=view.attempt,
        attempts=_attempts(page, view.key),
        started_at=_began_at(page, view.key),
        is_open=view.status != StepStatus.ENDED,
        took=say_took(chosen.seconds),
        arguments=make_shown(arguments) if arguments else None,
        outputs=make_shown(dict(view.outputs)) if view.outputs else None,
        wait=wait,
        waits=tuple(
            line
            for line, kind in zip(
                explain_waits(view, run_id=page.detail.run.id, link_step=link_step, now=page.now),
                (item.kind for item in view.waits),
                strict=True,
            )
            if wait is None or kind is not WaitKind.PEOPLE  # the panel says more
        ),
        facts=tuple(_facts(view, page, titles=titles, link_step=link_step)),
        item=make_shown(view.item) if isinstance(view.item, dict | list) else None,
        instances=_instances(view, page, titles=titles, query=query),
        story=tuple(_story(view, page, telling=telling, query=query)),
        story_href=query.change(tab="events", of=chosen.key, event="", before=""),
        retry_href=_verb_href("step_retry", view.key, page, can=StepReader.can_retry),
        skip_href=_verb_href("step_skip", view.key, page, can=StepReader.can_skip),
    )


def _verb_href(
    name: str, key: str, page: RunPage, *, can: Callable[[StepReader, str], bool]
) -> str:
    """Return where an operator does something to a step, "" where that makes no sense."""
    run = page.detail.run
    is_moved = run.status not in {RunStatus.CLOSED, RunStatus.HALTED}
    if not (page.may_operate and is_moved and page.reader is not None and can(page.reader, key)):
        return ""
    return reverse(f"engine_portal:{name}", args=(run.id, key))


def _story(view: StepView, page: RunPage, *, telling: Telling, query: Query) -> Iterable[StoryLine]:
    """Yield what happened to a step, newest first, as much as is read at a glance."""
    own = (item.event for item in reversed(page.events) if telling.is_about(item.event, view.key))
    for event in islice(own, _STORY_COUNT):
        told = tell(event, telling)
        href = f"{query.change(tab='events', event=event.seq, before='')}#event-{event.seq}"
        yield StoryLine(mark=told.mark, text=told.text, at=event.at, href=href)


def _say_action(step: Step | None, verb: Verb | None) -> str:
    if isinstance(verb, Uses):
        return verb.action
    if step is None:
        return "a state"
    return describe_container(step) if inner_steps(step) else describe_verb(step)


def _facts(
    view: StepView, page: RunPage, *, titles: Titles, link_step: Callable[[str], str]
) -> Iterable[Fact]:
    """Yield what else holds for a step of this run."""
    if view.parent:
        href = link_step(short_key(view.parent))
        yield Fact(name="Part of", words=titles.of(view.parent), href=href)
    if view.progress is not None:
        yield Fact(name="So far", words=say_progress(view))
    if view.child is not None:
        run = mention_known(view.child, page.links, now=page.now)
        said = f"{run.words}, {run.chip.word.lower()}" if run.chip else run.words
        yield Fact(name="Called", words=said, href=run.href)
    if view.mutex and not any(item.kind is WaitKind.MUTEX for item in view.waits):
        held = "had" if view.outcome is not None else "holds"
        yield Fact(name="Mutex", words=f"{held} “{view.mutex}”")
    if view.queue:
        topic = find_topic(view.queue)
        yield Fact(name="Topic" if topic else "Queue", words=topic or view.queue)
    if view.due_at is not None:
        yield Fact(name="Has to end", words=say_instant(view.due_at))


def _instances(
    view: StepView, page: RunPage, *, titles: Titles, query: Query
) -> InstanceTable | None:
    found = None if page.reader is None else find_instances(page.reader, key=view.key, query=query)
    if found is None:
        return None
    return make_instances(found, chosen=view.key, titles=titles, query=query, now=page.now)


def _attempts(page: RunPage, key: str) -> tuple[AttemptLine, ...]:
    lines = []
    for listing in page.events:
        event = listing.event
        if event.kind not in _FAILURES or event.data.get("key") != key:
            continue
        error = str(event.data.get("error", _FAILURES[EventKind(event.kind)]))
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
        if event.kind in _OPENED and event.data.get("key") == key:
            return event.at
        following = (find_decided(event) or {}).get("next", ())
        if any(item["key"] == key for item in following):
            return event.at
    return None

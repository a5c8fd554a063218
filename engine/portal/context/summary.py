"""The first lines of the page of a run. Read `make_summary` first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.urls import reverse

from core.toolkit.portal.words import say_count
from engine.domain.events import EventKind
from engine.domain.state import RunStatus
from engine.portal.context.beginnings import say_cause
from engine.portal.context.mentions import RunMention, mention_run
from engine.portal.context.steps import say_took
from engine.portal.context.waiting import brief_wait
from engine.portal.naming import title_of
from engine.portal.statuses import Chip, describe_run
from engine.portal.timeline import Timeline
from engine.selectors.run_pages import RunPage

_MOVING: Final = frozenset({RunStatus.READY, RunStatus.RUNNING, RunStatus.WAITING})
_STANDING: Final = frozenset({RunStatus.PAUSED, RunStatus.HALTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A run around this one: what it is to it, and `more` about how."""

    what: str
    run: RunMention
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLine:
    """A run's concurrency group, how it stands there, and the runs that go on meanwhile."""

    group: str
    words: str
    going: tuple[RunMention, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run is and how it stands. `problem` says why it stands still, "" if it does not."""

    id: UUID
    number: int
    title: str
    chip: Chip
    is_open: bool
    took: str
    done: str
    people: str
    people_of: str
    initiator: str
    on_behalf_of: str
    cause: str
    started_at: datetime
    version_words: str
    version_href: str
    relations: tuple[Relation, ...]
    turn: TurnLine | None
    problem: str
    is_redacted: bool
    may_cancel: bool
    may_pause: bool
    may_resume: bool
    may_send: bool
    may_start: bool
    may_rerun: bool
    again_href: str


def make_summary(page: RunPage, *, timeline: Timeline, marks: Mapping[str, int]) -> RunSummary:
    """Return the summary of a run; `marks` says how many of its steps have which."""
    run = page.detail.run
    place = (run.project_slug, run.workflow_slug)
    is_open = run.status != RunStatus.CLOSED
    return RunSummary(
        id=run.id,
        number=run.number,
        title=run.title,
        chip=_chip(page, waiting_count=marks.get("waiting", 0)),
        is_open=is_open,
        took=say_took(timeline.total_seconds),
        done=f"{marks.get('approved', 0)} of {sum(marks.values())} done",
        people=say_took(timeline.people_seconds) if timeline.people_seconds else "none",
        people_of=f"of {say_took(timeline.total_seconds)}" if timeline.people_seconds else "",
        initiator=page.initiator_name,
        on_behalf_of=page.on_behalf_of,
        cause=say_cause(page.events[0].event) if page.events else "",
        started_at=run.created_at,
        version_words=f"{run.workflow_slug} v{run.version_rev}",
        version_href=reverse("engine_portal:version", args=(*place, run.version_rev)),
        relations=tuple(_relations(page)),
        turn=_turn(page),
        problem=_problem(page),
        is_redacted=page.detail.run.redacted_at is not None,
        may_cancel=page.may_operate and is_open,
        may_pause=page.may_operate and run.status in _MOVING,
        may_resume=page.may_operate and run.status in _STANDING,
        may_send=page.may_operate and is_open,
        may_start=page.may_start and page.detail.run.redacted_at is None,
        may_rerun=page.may_start
        and page.detail.run.redacted_at is None
        and page.may_operate
        and run.status in {RunStatus.CLOSED, RunStatus.HALTED},
        again_href=f"{reverse('engine_portal:start', args=place)}?from={run.id}",
    )


def _chip(page: RunPage, *, waiting_count: int) -> Chip:
    """Return how the run stands; if it waits for no people, for what its first step does."""
    run = page.detail.run
    chip = describe_run(
        status=run.status,
        outcome=run.outcome,
        waiting_count=waiting_count if page.detail.steps else None,
        wake_at=page.wake_at,
        now=page.now,
    )
    if run.status != RunStatus.WAITING or waiting_count:
        return chip
    if page.detail.turn is not None and page.detail.turn.is_waiting:
        return Chip(mark="pending", word="Waits for its turn")
    said = (brief_wait(view, now=page.now) for view in page.detail.steps)
    words = next((words for words in said if words), "")
    return Chip(mark=chip.mark, word=f"{words[:1].upper()}{words[1:]}") if words else chip


def _relations(page: RunPage) -> Iterable[Relation]:
    """Yield the runs around this one."""
    around, now = page.detail.relations, page.now
    if around.parent is not None:
        step = f"in its step {title_of(around.parent_key)}" if around.parent_key else ""
        yield Relation(what="Called by", run=mention_run(around.parent, now=now), more=step)
    if around.predecessor is not None:
        yield Relation(what="Continues", run=mention_run(around.predecessor, now=now))
    if around.successor is not None:
        yield Relation(what="Continued as", run=mention_run(around.successor, now=now))
    if around.origin is not None:
        what = "Fork of" if around.is_fork else "Run again from"
        more = _at(around.origin_key) or "from its beginning"
        yield Relation(what=what, run=mention_run(around.origin, now=now), more=more)
    for link, key in around.reruns:
        yield Relation(what="Run again as", run=mention_run(link, now=now), more=_at(key))


def _at(key: str) -> str:
    return f"at the step {title_of(key)}" if key else ""


def _turn(page: RunPage) -> TurnLine | None:
    turn = page.detail.turn
    if turn is None:
        return None
    if not turn.is_waiting:
        return TurnLine(group=turn.group, words="")
    before = f"{turn.before_count} before it" if turn.before_count else "it is next"
    hidden = turn.going_count - len(turn.going)
    more = f"; {say_count(hidden, 'run')} you may not see before that" if hidden else ""
    going = tuple(mention_run(link, now=page.now) for link in turn.going)
    return TurnLine(group=turn.group, words=f"waits for its turn, {before}{more}", going=going)


def _problem(page: RunPage) -> str:
    """Return why a run stands still or ended without a step saying so; "" if nothing is wrong."""
    if page.detail.unreadable:
        return page.detail.unreadable
    last = page.events[-1].event if page.events else None
    if last is not None and last.kind == EventKind.RUN_HALTED:
        return str(last.payloads.get("difference") or last.data.get("code") or "")
    if last is not None and last.kind == EventKind.RUN_CLOSED:
        return str(last.payloads.get("why") or "")
    return ""

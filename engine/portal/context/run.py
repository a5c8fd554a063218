"""The page of one run. Read `make_run` first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.domain.events import EventKind
from engine.domain.keys import step_key
from engine.domain.plan import Plan
from engine.portal.context.address import Query
from engine.portal.context.drawing import Drawing, StepFacts, View, draw
from engine.portal.context.event_tab import EventTab, make_event_tab
from engine.portal.context.panel import Panel, make_panel
from engine.portal.context.steps import StepWords, describe_steps
from engine.portal.context.summary import RunSummary, make_summary
from engine.portal.context.times import TimelineView, view_timeline
from engine.portal.context.tree import Shown, make_shown
from engine.portal.panels import WaitPanel
from engine.portal.statuses import MARKS, say_counts
from engine.portal.timeline import Timeline, make_timeline
from engine.selectors.run_pages import RunPage

TABS: Final = {"timeline": "Timeline", "events": "Events", "data": "Input and output"}
_URGENT: Final = ("waiting", "failed", "rejected", "expired", "running", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLink:
    """How many steps stand so, and where they are marked."""

    mark: str
    text: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TabLink:
    """One of the views of what happened."""

    key: str
    name: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Everything the template of a run shows; of `timeline`, `events` and the data, one tab's."""

    summary: RunSummary
    counts: tuple[CountLink, ...]
    drawing: Drawing
    is_whole: bool
    whole_href: str
    fold_href: str
    tab: str
    tabs: tuple[TabLink, ...]
    timeline: TimelineView | None
    events: EventTab | None
    inputs: Shown | None
    outputs: Shown | None
    panel: Panel | None
    step_missing: str


def keys_by_verb(page: RunPage) -> dict[str, list[str]]:
    """Return the keys of a run's waits by their verb: those that were opened."""
    found: dict[str, list[str]] = {}
    for listing in page.events:
        if listing.event.kind in {EventKind.APPROVAL_REQUESTED, EventKind.QUESTION_ASKED}:
            data = listing.event.data
            found.setdefault(str(data.get("verb", "")), []).append(str(data.get("key", "")))
    return found


def make_run(page: RunPage, *, panels: Mapping[str, WaitPanel], query: Query) -> RunContext:
    """Return the page of a run.

    Args:
        page: what was read.
        panels: what is known of its waits, by step key.
        query: the address: `step`, `show`, `tab`, `fold`, `open`, `event`, `kind`, `of`, `who`,
            `before`.
    """
    timeline = _timeline(page)
    described = describe_steps(
        page.plan,
        page.detail.steps,
        rows={row.key: row for row in timeline.rows if row.is_last},
        panels=panels,
        now=page.now,
    )
    words = [item for item, _ in described]
    marks = [item.mark for item in words]
    only = query.get("show") if query.get("show") in marks else ""
    chosen = _choose(words, query, only=only)
    tab = query.get("tab") if query.get("tab") in TABS else next(iter(TABS))
    detail = page.detail
    return RunContext(
        summary=make_summary(page, timeline=timeline, marks=marks),
        counts=_counts(marks, words, query=query, only=only),
        drawing=_draw([facts for _, facts in described], chosen, query=query, only=only),
        is_whole=query.get("fold") == "none",
        whole_href=query.change(fold="none", open=""),
        fold_href=query.change(fold="", open="", step=""),
        tab=tab,
        tabs=_tabs(query, chosen=tab),
        timeline=_view_times(timeline, words, query=query) if tab == "timeline" else None,
        events=make_event_tab(page, query=query, words=words) if tab == "events" else None,
        inputs=make_shown(detail.inputs) if tab == "data" else None,
        outputs=make_shown(dict(detail.outputs)) if tab == "data" else None,
        panel=make_panel(chosen, page, panels=panels, query=query) if chosen else None,
        step_missing=_missing_step(words, query),
    )


# --- which step ----------------------------------------------------------------------------------


def _choose(words: Sequence[StepWords], query: Query, *, only: str) -> StepWords | None:
    """Return the step that is looked at: the one asked for, or the most urgent."""
    asked = query.get("step")
    by_key = {item.key: item for item in words}
    if asked in by_key:
        return by_key[asked]
    for mark in (only,) if only else _URGENT:
        first = next((item for item in words if item.mark == mark), None)
        if first is not None:
            return first
    done = [item for item in words if item.mark == "approved"]
    return done[-1] if done else next(iter(words), None)


def _missing_step(words: Sequence[StepWords], query: Query) -> str:
    asked = query.get("step")
    known = {item.key for item in words}
    return asked[:100] if asked and asked not in known else ""


# --- parts of the page ---------------------------------------------------------------------------


def _timeline(page: RunPage) -> Timeline:
    return make_timeline(
        [listing.event for listing in page.events], needs=_needs(page.plan), now=page.now
    )


def _needs(plan: Plan) -> dict[str, list[str]]:
    return {
        step_key(key): [step_key(need) for need in step.needs] for key, step in plan.steps.items()
    }


def _view_times(timeline: Timeline, words: Sequence[StepWords], *, query: Query) -> TimelineView:
    return view_timeline(timeline, words=words, link=lambda key: query.change(step=key, show=""))


def _draw(
    steps: Sequence[StepFacts], chosen: StepWords | None, *, query: Query, only: str
) -> Drawing:
    asked = (query.get("open"), query.get("step"))
    view = View(
        chosen=chosen.key if chosen else "",
        opened=frozenset(item for item in asked if item),
        is_whole=query.get("fold") == "none",
        only=only,
        link_step=lambda key: query.change(step=key, show="", event=""),
        link_group=lambda key: query.change(open=key, show=""),
    )
    return draw(steps, view)


def _counts(
    marks: Sequence[str], words: Sequence[StepWords], *, query: Query, only: str
) -> tuple[CountLink, ...]:
    first = {item.mark: item.key for item in reversed(words)}
    return tuple(
        CountLink(
            mark=mark,
            text=text,
            href=query.change(
                show="" if mark == only else mark, step="" if mark == only else first[mark]
            ),
            is_chosen=mark == only,
        )
        for mark, _, text in say_counts(marks)
        if mark in MARKS
    )


def _tabs(query: Query, *, chosen: str) -> tuple[TabLink, ...]:
    return tuple(
        TabLink(
            key=tab,
            name=name,
            href=query.change(tab=tab, event="", before=""),
            is_chosen=tab == chosen,
        )
        for tab, name in TABS.items()
    )

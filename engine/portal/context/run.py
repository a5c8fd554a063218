"""The page of one run. Read `make_run` first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.urls import reverse

from core.toolkit.portal.address import Query
from core.toolkit.portal.tree import Shown, make_shown
from engine.domain.events import EventKind
from engine.domain.keys import any_try_of, path_of, sibling_key
from engine.domain.nodes import index_plan
from engine.domain.plan import Kind, Timer
from engine.domain.unwinding import MUTEX
from engine.portal.context.drawing import Drawing, StepFacts, View, draw, node_id
from engine.portal.context.event_tab import EventTab, make_event_tab
from engine.portal.context.panel import Panel, make_panel
from engine.portal.context.past import PastLine, make_past_line
from engine.portal.context.run_graph import graph_of_run, list_taken
from engine.portal.context.sentences import Telling
from engine.portal.context.steps import StepWords, count_marks, describe_steps
from engine.portal.context.summary import RunSummary, make_summary
from engine.portal.context.times import TimelineView, view_timeline
from engine.portal.naming import Titles, short_key
from engine.portal.panels import WaitPanel
from engine.portal.statuses import MARKS, say_counts
from engine.portal.timeline import Timeline, make_timeline
from engine.selectors.past_pages import PastPage
from engine.selectors.run_pages import RunPage

TABS: Final = {"timeline": "Timeline", "events": "Events", "data": "Input and output"}
_ASKED: Final = frozenset({EventKind.APPROVAL_REQUESTED, EventKind.QUESTION_ASKED})
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
    hidden_count: int
    past: PastLine | None = None
    past_href: str = ""
    variables: Shown | None = None


def keys_by_verb(page: RunPage) -> dict[str, list[str]]:
    """Return the keys of a run's waits by their verb: those that were opened, of listed steps."""
    listed = {view.key for view in page.detail.steps}
    found: dict[str, list[str]] = {}
    for listing in page.events:
        data, key = listing.event.data, str(listing.event.data.get("key", ""))
        if key in listed and listing.event.kind in _ASKED:
            found.setdefault(str(data.get("verb", "")), []).append(key)
    return found


def make_past_run(found: PastPage, *, panels: Mapping[str, WaitPanel], query: Query) -> RunContext:
    """Return the page of a run as it was. Args: as `make_run`; `panels` are of then."""
    made = make_run(found.page, panels=panels, query=query)
    line = make_past_line(found, telling=_telling(found.page), query=query)
    variables = make_shown(found.past.variables) if made.tab == "data" else None
    return replace(made, past=line, past_href="", variables=variables)


def make_run(page: RunPage, *, panels: Mapping[str, WaitPanel], query: Query) -> RunContext:
    """Return the page of a run.

    Args:
        page: what was read.
        panels: what is known of its waits, by step key.
        query: the address: `step`, `show`, `tab`, `fold`, `open`, `event`, `kind`, `of`, `who`,
            `before`; `page` and `state` of the chosen step's instances.
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
    marks = count_marks(page.detail.tallies)
    only = query.get("show") if query.get("show") in marks else ""
    here = short_key(page.detail.shape.current)
    chosen = _choose(words, query, only=only, here=here)
    tab = query.get("tab") if query.get("tab") in TABS else next(iter(TABS))
    detail, telling = page.detail, _telling(page)
    return RunContext(
        summary=make_summary(page, timeline=timeline, marks=marks),
        counts=_counts(marks, words, query=query, only=only),
        drawing=_draw(page, described, chosen, query=query, only=only),
        is_whole=query.get("fold") == "none",
        whole_href=query.change(fold="none", open=""),
        fold_href=query.change(fold="", open="", step=""),
        tab=tab,
        tabs=_tabs(query, chosen=tab),
        timeline=_view_times(timeline, words, query=query) if tab == "timeline" else None,
        events=make_event_tab(page, query=query, words=words, telling=telling)
        if tab == "events"
        else None,
        inputs=make_shown(detail.inputs) if tab == "data" else None,
        outputs=make_shown(dict(detail.outputs)) if tab == "data" else None,
        panel=make_panel(chosen, page, panels=panels, telling=telling, query=query)
        if chosen
        else None,
        step_missing=_missing_step(words, query),
        hidden_count=detail.hidden_step_count,
        past_href=query.change(at=detail.run.seq, event=""),
    )


# --- which step ----------------------------------------------------------------------------------


def _choose(words: Sequence[StepWords], query: Query, *, only: str, here: str) -> StepWords | None:
    """Return the step that is looked at: the one asked for, the most urgent, or where a run is."""
    asked = query.get("step")
    by_key = {item.key: item for item in words}
    if asked in by_key:
        return by_key[asked]
    urgent = _URGENT[:1] if here in by_key else _URGENT  # a machine has gone on from the others
    for mark in (only,) if only else urgent:
        first = next((item for item in words if item.mark == mark), None)
        if first is not None:
            return first
    if here in by_key:
        return by_key[here]
    done = [item for item in words if item.mark == "approved"]
    return done[-1] if done else next(iter(words), None)


def _missing_step(words: Sequence[StepWords], query: Query) -> str:
    asked = query.get("step")
    known = {item.key for item in words}
    return asked[:100] if asked and asked not in known else ""


# --- parts of the page ---------------------------------------------------------------------------


def _telling(page: RunPage) -> Telling:
    return Telling(
        plan=page.plan,
        titles=Titles.over(page.detail.steps, reader=page.reader),
        mutexes={view.key: view.mutex for view in page.detail.steps if view.mutex},
        passed={
            str(event.data.get("key")): event.seq
            for event in (listing.event for listing in reversed(page.events))
            if event.kind == EventKind.STEP_ADMITTED and event.data.get("gate") == MUTEX
        },
    )


def _timeline(page: RunPage) -> Timeline:
    return make_timeline(
        [listing.event for listing in page.events],
        needs=_needs(page),
        sleepers=_sleepers(page),
        now=page.now,
    )


def _sleepers(page: RunPage) -> dict[str, datetime | None]:
    """Return the steps that wait for time, and since when those do that do so now."""
    return {
        view.key: view.started_at
        for view in page.detail.steps
        if view.verb == Timer.verb and not _is_over(view.key)
    }


def _needs(page: RunPage) -> dict[str, list[str]]:
    """Return what each listed step of a plan or a group needs, by their keys; of no earlier try."""
    nodes = index_plan(page.plan).nodes
    needs: dict[str, list[str]] = {}
    for view in page.detail.steps:
        node = nodes.get(path_of(view.key))
        is_told = node is not None and not view.undoes and not _is_over(view.key)
        if node is not None and is_told and page.plan.kind != Kind.STATES:
            needs[view.key] = [sibling_key(view.key, need) for need in node.step.needs]
    return needs


def _is_over(key: str) -> bool:
    """Say whether a key is of an earlier try: its events have the key of what counts."""
    return any_try_of(key) != key


def _view_times(timeline: Timeline, words: Sequence[StepWords], *, query: Query) -> TimelineView:
    return view_timeline(timeline, words=words, link=lambda key: query.change(step=key, show=""))


def _draw(
    page: RunPage,
    described: Sequence[tuple[StepWords, StepFacts]],
    chosen: StepWords | None,
    *,
    query: Query,
    only: str,
) -> Drawing:
    run = page.detail.run
    defined = reverse(
        "engine_portal:version", args=(run.project_slug, run.workflow_slug, run.version_rev)
    )
    asked = (query.get("open"), query.get("step"))
    view = View(
        # An earlier try is shown as what counts.
        chosen=short_key(any_try_of(chosen.key)) if chosen else "",
        opened=frozenset(item for item in asked if item),
        is_whole=query.get("fold") == "none",
        only=only,
        link_step=lambda key: query.change(step=key, show="", event=""),
        link_group=lambda key: query.change(open=key, show=""),
        link_plan=lambda key: f"{defined}#{node_id(key)}",
    )
    graph = graph_of_run(
        page.plan,
        described,
        shape=page.detail.shape,
        taken=list_taken(listing.event for listing in page.events),
        is_open=not run.outcome,
    )
    return draw(graph.steps, view, links=graph.links)


def _counts(
    marks: Mapping[str, int], words: Sequence[StepWords], *, query: Query, only: str
) -> tuple[CountLink, ...]:
    first = {item.mark: item.key for item in reversed(words)}
    return tuple(
        CountLink(
            mark=mark,
            text=text,
            href=query.change(
                show="" if mark == only else mark,
                step="" if mark == only else first.get(mark, ""),
            ),
            is_chosen=mark == only,
        )
        for mark, _, text in say_counts(Counter(marks).elements())
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

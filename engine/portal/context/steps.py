"""The steps of a run in words: for the graph, the timeline and the panel. Read `describe_steps`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.kernel.types import Json
from core.toolkit.portal.words import say_due, say_duration
from engine.domain.keys import parent_of, path_of, sibling_key, undone_by
from engine.domain.nodes import index_plan
from engine.domain.plan import Plan, Step, Uses, Wait, inner_steps
from engine.domain.state import StepStatus
from engine.portal.context.drawing import StepFacts
from engine.portal.context.reasons import explain_end
from engine.portal.context.waiting import brief_wait, kind_of_wait
from engine.portal.naming import Titles, depth_of, short_key
from engine.portal.panels import WaitPanel
from engine.portal.statuses import describe_step
from engine.portal.timeline import Row
from engine.selectors.step_views import StepView, Tally

_WORDS: Final = {
    "timer": "waits for time",
    "event": "waits for an event",
    "emit": "sends an event",
    "call": "calls a workflow",
    "set": "sets variables",
    "steps": "a group of steps",
    "race": "the first wins",
    "map": "for each item",
    "matrix": "for each combination",
    "loop": "again and again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWords:
    """A step of a run. `key` is its short key; `seconds` is `None` where unknown.

    `name` is its title where its surroundings are seen, `depth` how many containers are around it.
    """

    key: str
    title: str
    mark: str
    word: str
    seconds: float | None
    view: StepView | None
    name: str = ""
    depth: int = 0


def describe_action(step: Step) -> str:
    """Return what a step does in a few words: a function's name, a method and address, a verb."""
    if not isinstance(step.verb, Uses):
        return _WORDS.get(step.verb.verb, step.verb.verb)
    name = step.verb.action.partition("@")[0]
    arguments = step.verb.arguments
    function = arguments.get("function")
    if name == "python/call" and isinstance(function, str) and "${{" not in function:
        return function
    method = arguments.get("method")
    if name == "http/request" and isinstance(method, str) and "${{" not in method:
        return f"HTTP {method}"
    return name


def describe_steps(
    plan: Plan,
    views: Sequence[StepView],
    *,
    rows: Mapping[str, Row],
    panels: Mapping[str, WaitPanel],
    now: datetime,
) -> list[tuple[StepWords, StepFacts]]:
    """Return a run's steps in the order of the views, in words and as nodes.

    Args:
        plan: the run's.
        views: the steps as the run's stream tells them.
        rows: the last row of the timeline by key.
        panels: what is known of waits by key.
        now: the present.
    """
    nodes = index_plan(plan).nodes
    titles = Titles.over(views)
    described = []
    for view in views:
        words = make_words(view, titles=titles, row=rows.get(view.key))
        node = nodes.get(path_of(view.key))
        if node is None:
            facts = _visit_facts(plan, view, words)
        else:
            facts = _facts(view, node.step, words, panel=panels.get(view.key), now=now)
        described.append((words, facts))
    return described


def count_marks(tallies: Iterable[Tally]) -> dict[str, int]:
    """Return how many steps have each mark, those that are not listed too."""
    counts: dict[str, int] = {}
    for tally in tallies:
        chip = describe_step(status=tally.status, outcome=tally.outcome, waits=tally.waits)
        counts[chip.mark] = counts.get(chip.mark, 0) + tally.count
    return counts


def make_words(view: StepView, *, titles: Titles, row: Row | None = None) -> StepWords:
    """Return a step in words; `row` is its last in the timeline."""
    chip = describe_step(status=view.status, outcome=view.outcome, waits=kind_of_wait(view))
    return StepWords(
        key=short_key(view.key),
        title=titles.of(view.key),
        mark=chip.mark,
        word=chip.word,
        seconds=row.seconds if row else None,
        view=view,
        name=titles.name(view.key),
        depth=depth_of(view.key),
    )


def _facts(
    view: StepView, step: Step, words: StepWords, *, panel: WaitPanel | None, now: datetime
) -> StepFacts:
    is_human = view.is_asked or (not view.undoes and isinstance(step.verb, Wait))
    is_asked = is_human and panel is not None and panel.needed_count > 0
    shows_time = words.seconds is not None and not view.waits
    return StepFacts(
        key=words.key,
        needs=_needs_of(view, step),
        kind=f"undo {words.key}" if view.undoes else _kind(step),
        title=words.title,
        detail=_detail(view, step=step, panel=panel, now=now),
        right=say_took(words.seconds) if shows_time else "",
        mark=words.mark,
        word=words.word,
        is_human=is_human,
        given=panel.given_count if panel and is_asked and words.mark == "waiting" else 0,
        needed=panel.needed_count if panel and is_asked and words.mark == "waiting" else 0,
    )


def _visit_facts(plan: Plan, view: StepView, words: StepWords) -> StepFacts:
    """Return a visit to a state that executes nothing as a node."""
    return StepFacts(
        key=words.key,
        needs=(),
        kind="state",
        title=words.title,
        detail=plan.states[view.step].final or "state",
        mark=words.mark,
        word=words.word,
        symbol="workflow",
    )


def _needs_of(view: StepView, step: Step) -> tuple[str, ...]:
    """Return the short keys of what a step of a run comes after."""
    if view.undoes:
        return (short_key(undone_by(view.key)),)
    around = parent_of(view.key)
    needs = tuple(short_key(sibling_key(view.key, need)) for need in step.needs)
    return needs or ((short_key(around),) if around else ())


def explain_why(view: StepView) -> str:
    """Return why a step ended without executing, in a sentence; "" if it needs none."""
    return explain_end(view.outcome, view.why)


def say_progress(view: StepView) -> str:
    """Return how far a container has come: "7 of 20 done, 1 failed"; "" for any other step."""
    made = view.progress
    if made is None:
        return ""
    if view.turns_max:
        return f"turn {made.begun} of at most {view.turns_max}"
    parts = [f"{made.good} of {made.total or made.begun} done"]
    if made.open:
        parts.append(f"{made.open} under way")
    if made.failed:
        parts.append(f"{made.failed} failed")
    return ", ".join(parts)


def say_took(seconds: float | None) -> str:
    """Return how long a step took, also where that is milliseconds; "" for `None`."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{max(round(seconds * 1000), 1)} ms" if seconds else "0 ms"
    return say_duration(timedelta(seconds=seconds))


def _detail(view: StepView, *, step: Step, panel: WaitPanel | None, now: datetime) -> str:
    """Return the second line of a node."""
    if view.status == StepStatus.WAITING and panel is not None and panel.due_at is not None:
        due = say_due(panel.due_at, now=now)
        return due if due.endswith("overdue") else f"due {due}"
    waiting = brief_wait(view, now=now)
    if waiting:
        return waiting
    said = (view.error_message if view.outcome != "succeeded" else "") or explain_why(view)
    if said:
        return said.rstrip(".")
    if view.outcome in {"approved", "rejected"} and panel is not None:
        names = [person.name for person in panel.people if person.status == view.outcome]
        if names:
            return ", ".join(names)
    undo = step.compensate if view.undoes else None
    return undo.uses.action.partition("@")[0] if undo else describe_action(step)


def _kind(step: Step) -> str:
    if inner_steps(step):
        return f"{step.verb.verb} {step.id}"
    if not isinstance(step.verb, Uses):
        return step.verb.verb
    function: Json = step.verb.arguments.get("function")
    return f"{step.verb.action} {function}"

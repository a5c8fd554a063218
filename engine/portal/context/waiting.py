"""What a step waits for, in words. Read `explain_waits`; `brief_wait` is for narrow places."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.kernel.types import Json
from core.toolkit.portal.words import say_clock
from engine.portal.context.mentions import RunMention, mention_run
from engine.portal.naming import short_key, title_of
from engine.portal.statuses import say_step
from engine.selectors.step_views import StepView
from engine.selectors.step_waits import StepWait, WaitKind

_VALUE_CHARS_MAX: Final = 60
_PEOPLE: Final = frozenset({WaitKind.PEOPLE, WaitKind.QUESTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLine:
    """One thing a step waits for: `words`, then `run`, then `more`, then `at`.

    `href` leads to the step that holds it up, if that is in the same run.
    """

    words: str
    run: RunMention | None = None
    more: str = ""
    at: datetime | None = None
    href: str = ""


def explain_waits(
    view: StepView, *, run_id: UUID, link_step: Callable[[str], str], now: datetime
) -> tuple[WaitLine, ...]:
    """Return what a step waits for, a line for each thing.

    Args:
        view: the step.
        run_id: its run.
        link_step: the address of a step of this run, by short key.
        now: the present.
    """
    return tuple(_explain(wait, run_id=run_id, link_step=link_step, now=now) for wait in view.waits)


def brief_wait(view: StepView, *, now: datetime) -> str:
    """Return what a step waits for in a few words, "" if for nothing, or for people."""
    wait = next((item for item in view.waits if item.kind not in _PEOPLE), None)
    if wait is None:
        return ""
    at = f" {say_clock(wait.until, now=now)}" if wait.until is not None else ""
    words = {
        WaitKind.MUTEX: f"waits for mutex {wait.name}",
        WaitKind.CIRCUIT: f"circuit {wait.name} is open",
        WaitKind.RATE: f"rate {wait.name}: from{at}",
        WaitKind.RETRY: f"again at{at}",
        WaitKind.TIMER: f"until{at}",
        WaitKind.TURN: f"next turn at{at}",
        WaitKind.STATE: f"goes to {wait.name} at{at}",
        WaitKind.EVENT: f"waits for event {wait.name}",
        WaitKind.RUN: f"waits for {_brief_run(wait)}",
        WaitKind.QUEUE: f"in queue {wait.name}",
        WaitKind.TOPIC: f"with {wait.worker}" if wait.worker else f"for a worker of {wait.name}",
    }
    return words[wait.kind]


def say_event(name: str, correlate: Mapping[str, Json]) -> str:
    """Return which event is waited for: its type, and what its data must hold."""
    fields = [f"{field} is {_say(value)}" for field, value in correlate.items()]
    where = f", where {' and '.join(fields)}" if fields else ""
    return f"the event “{name}”{where}"


def kind_of_wait(view: StepView) -> str:
    """Return who ends a step that waits, "" for one that waits for nobody."""
    return view.waits[0].kind if view.waits else ""


def _brief_run(wait: StepWait) -> str:
    number = wait.run.number if wait.run is not None else None
    return f"run {number}" if number is not None else "the run it called"


def _explain(
    wait: StepWait, *, run_id: UUID, link_step: Callable[[str], str], now: datetime
) -> WaitLine:
    if wait.kind is WaitKind.MUTEX:
        return _explain_mutex(wait, run_id=run_id, link_step=link_step, now=now)
    if wait.kind is WaitKind.RUN:
        run = mention_run(wait.run, now=now) if wait.run is not None else None
        return WaitLine(words="Waits for the end of", run=run, more="" if run else "a called run")
    if wait.kind is WaitKind.EVENT:
        return WaitLine(words=f"Waits for {say_event(wait.name, wait.correlate)}")
    said = {
        WaitKind.CIRCUIT: f"The circuit “{wait.name}” is open: it is asked again",
        WaitKind.RATE: f"The rate “{wait.name}” lets it begin",
        WaitKind.RETRY: "Is tried again",
        WaitKind.TIMER: "Sleeps, and goes on",
        WaitKind.TURN: "The next turn begins",
        WaitKind.STATE: f"Goes to {say_step(wait.name)} by itself",
        WaitKind.PEOPLE: "Waits for people",
        WaitKind.QUESTION: "A person says what becomes of the error",
        WaitKind.QUEUE: f"Waits for a worker of the queue “{wait.name}”",
        WaitKind.TOPIC: f"Waits for a worker of the topic “{wait.name}”",
    }
    if wait.worker:
        return WaitLine(words=f"Held by the worker “{wait.worker}” since", at=wait.since)
    return WaitLine(words=said[wait.kind], at=wait.until)


def _explain_mutex(
    wait: StepWait, *, run_id: UUID, link_step: Callable[[str], str], now: datetime
) -> WaitLine:
    words = f"Waits for the mutex “{wait.name}”"
    if wait.is_hidden:
        return WaitLine(words=f"{words}, held by a run that you may not see")
    if wait.run is None:
        return WaitLine(words=words)
    step = title_of(wait.key)
    if wait.run.id == run_id:
        href = link_step(short_key(wait.key))
        return WaitLine(words=f"{words}, held by", more=step, href=href)
    run = mention_run(wait.run, now=now)
    return WaitLine(words=f"{words}, held by", run=run, more=f"in its step {step}")


def _say(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[: _VALUE_CHARS_MAX - 1]}…"

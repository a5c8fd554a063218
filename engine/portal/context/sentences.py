"""What each kind of event says, in plain words. Read `tell`, then the table `TELLERS`.

Every kind of `EventKind` has a sentence of its own, which names the step with its item, turn or
visit and whatever else the event is about. A kind that a newer version wrote is named as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from core.toolkit.portal.words import say_clock, say_duration, say_instant
from engine.domain.events import Event, EventKind, find_decided
from engine.domain.keys import is_undo, path_of
from engine.domain.machine import ENTERED, STUCK
from engine.domain.nodes import Tree, index_plan
from engine.domain.plan import AwaitEvent, Call, Plan, SetVars, Step
from engine.domain.timers import Purpose, read_timer
from engine.domain.unwinding import MUTEX, QUESTION
from engine.portal.context.beginnings import say_beginning
from engine.portal.context.handing import say_begin, say_claim
from engine.portal.context.reasons import explain_end
from engine.portal.naming import Titles
from engine.portal.statuses import say_outcome, say_template
from engine.selectors.run_links import list_mentioned

_NAMES_SHOWN_MAX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event in words. `run_id` is another run that it is about."""

    mark: str
    text: str
    run_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What sentences are told with.

    `mutexes` are what steps held or waited for, by key; `passed` says by which entry one got its
    mutex. A plan without steps is that of a run which cannot be read: then less is named.
    """

    plan: Plan
    titles: Titles = field(default_factory=Titles)
    mutexes: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def tree(self) -> Tree:
        """Return the plan's steps by path."""
        return index_plan(self.plan)

    def step(self, key: str) -> Step | None:
        """Return the step behind a key, `None` if there is none in this version."""
        node = self.tree.nodes.get(path_of(key))
        return node.step if node is not None else None

    def is_listener(self, key: str) -> bool:
        """Say whether a key is that of an event a state listens to."""
        return path_of(key).partition("/")[0] in self.plan.states and self.step(key) is None

    def place(self, event: Event) -> str:
        """Return the key of the step an event is about, "" for none."""
        key = str(event.data.get("key", ""))
        if event.kind == EventKind.TIMER_FIRED:
            purpose, key = read_timer(str(event.data.get("timer", "")))
            key = key.rpartition("/")[0] if purpose is Purpose.AFTER else key
        return key.partition("/")[0] if self.is_listener(key) else key

    def is_about(self, event: Event, key: str) -> bool:
        """Say whether an event is about a step, or about what holds it back."""
        held: Any = event.data.get("keys", ())
        return self.place(event) == key or key in held

    def title(self, key: str) -> str:
        """Return what a step is called; of what a state listens to, the state."""
        return self.titles.of(key.partition("/")[0] if self.is_listener(key) else key)

    def titles_of(self, keys: Iterable[str]) -> str:
        """Return what several steps are called, a few by name."""
        return list_names([self.title(str(key)) for key in keys])

    def mutex(self, key: str) -> str:
        """Return the name of a step's mutex in quotes, as far as it is known; "" if it has none."""
        step = self.step(key)
        name = self.mutexes.get(key) or (say_template(step.mutex) if step is not None else "")
        return f"“{name}”" if name else ""

    def gates(self, key: str, *, names: Mapping[str, str] | None = None) -> str:
        """Return what each attempt of a step has to pass, in words; "" if nothing.

        `names` are those that were evaluated, by kind; elsewhere the definition's texts are said.
        """
        step = self.step(key)
        if step is None or is_undo(key):
            return ""
        named = (("circuit", step.circuit), ("rate", step.rate), ("cache", step.cache))
        known = names or {}
        said = [
            f"the {kind} “{known.get(kind) or say_template(gate.key)}”"
            for kind, gate in named
            if gate is not None
        ]
        return " and ".join(said)


def tell(event: Event, telling: Telling) -> Told:
    """Return an event in words."""
    teller = TELLERS.get(event.kind)
    if teller is None:
        return Told(mark="pending", text=f"{event.kind}, which this version does not know")
    return teller(telling, event)


def tell_then(event: Event, telling: Telling) -> str:
    """Return what followed from an event: what began, what ended or was entered by itself."""
    record = find_decided(event) or {}
    parts = []
    ends: dict[str, list[str]] = {}
    for entry in record.get("settled", ()):
        key, outcome = str(entry["key"]), str(entry["outcome"])
        if outcome == "failed" and key == event.data.get("key"):
            continue  # the sentence says so
        said = _say_end(telling, key, outcome, str(entry.get("why", "")))
        ends.setdefault(said, []).append(telling.title(key))
    parts += [said.replace("{}", list_names(names)) for said, names in ends.items()]
    begun: dict[str, list[str]] = {}
    for entry in record.get("next", ()):
        again = f" (attempt {entry['attempt']})" if entry.get("attempt", 1) > 1 else ""
        begun.setdefault(say_begin(str(entry.get("queue", ""))), []).append(
            telling.title(str(entry["key"])) + again
        )
    parts += [said.replace("{}", list_names(names)) for said, names in begun.items()]
    return "; ".join(parts)


def list_names(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    shown = ", ".join(names[:_NAMES_SHOWN_MAX])
    more = len(names) - _NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


# --- the run -------------------------------------------------------------------------------------


def _run_started(telling: Telling, event: Event) -> Told:
    del telling
    runs = list_mentioned(event=event)
    return Told(mark="running", text=say_beginning(event), run_id=runs[0] if runs else None)


def _run_owned(telling: Telling, event: Event) -> Told:
    del telling
    return Told(mark="pending", text=f"A worker took the run, turn {event.data.get('epoch', '')}")


def _run_admitted(telling: Telling, event: Event) -> Told:
    del telling, event
    return Told(mark="pending", text="The run's turn in its group came")


def _run_migrated(telling: Telling, event: Event) -> Told:
    reset: Any = event.data.get("reset") or ()
    anew = f"; asked anew: {telling.titles_of(reset)}" if reset else ""
    text = f"The run was moved to version {event.data.get('rev', '')}{anew}"
    return Told(mark="pending", text=text)


def _run_cancel_requested(telling: Telling, event: Event) -> Told:
    del telling
    runs = list_mentioned(event=event)
    group = "The run's group asked to cancel it for another one"
    who = group if runs else "Somebody asked to cancel the run"
    also = " and to undo what it did" if event.data.get("compensate") else ""
    return Told(mark="cancelled", text=who + also, run_id=runs[0] if runs else None)


def _run_paused(telling: Telling, event: Event) -> Told:
    del telling, event
    return Told(mark="pending", text="Somebody paused the run: nothing new begins")


def _run_resumed(telling: Telling, event: Event) -> Told:
    del telling, event
    return Told(mark="running", text="Somebody let the run go on")


def _retry_requested(telling: Telling, event: Event) -> Told:
    return Told(mark="running", text=f"Somebody had {_title(telling, event)} tried again")


def _skip_requested(telling: Telling, event: Event) -> Told:
    return Told(mark="cancelled", text=f"Somebody had {_title(telling, event)} skipped")


def _event_addressed(telling: Telling, event: Event) -> Told:
    del telling
    return Told(mark="running", text=f"Somebody sent the run an event {event.data.get('type', '')}")


def _run_closed(telling: Telling, event: Event) -> Told:
    del telling
    outcome, runs = str(event.data.get("outcome", "")), list_mentioned(event=event)
    if runs:
        text = "The run ended as continued: another one goes on in its place"
    else:
        text = f"The run ended: {outcome}"
    return Told(mark=say_outcome(outcome).mark, text=text, run_id=runs[0] if runs else None)


def _run_halted(telling: Telling, event: Event) -> Told:
    del telling
    return Told(mark="failed", text=f"The run halted: {event.data.get('code', '')}")


# --- attempts ------------------------------------------------------------------------------------


def _step_started(telling: Telling, event: Event) -> Told:
    del telling, event
    return Told(mark="pending", text="Steps began")


def _step_completed(telling: Telling, event: Event) -> Told:
    return Told(mark="approved", text=f"{_title(telling, event)} succeeded{_again(event)}")


def _attempt_failed(telling: Telling, event: Event) -> Told:
    error = event.data.get("error", "")
    return Told(mark="failed", text=f"{_title(telling, event)} failed{_again(event)}: {error}")


def _attempt_lost(telling: Telling, event: Event) -> Told:
    return Told(mark="failed", text=f"{_title(telling, event)} lost its worker{_again(event)}")


def _attempt_uncertain(telling: Telling, event: Event) -> Told:
    title = _title(telling, event)
    why = "its worker died, so nobody knows whether it happened"
    return Told(mark="failed", text=f"{title} may have been executed{_again(event)}: {why}")


def _attempt_claimed(telling: Telling, event: Event) -> Told:
    return Told(mark="running", text=say_claim(_title(telling, event), event))


def _attempt_late(telling: Telling, event: Event) -> Told:
    how = f"failed with {event.data['error']}" if "error" in event.data else "completed"
    text = f"An attempt of {_title(telling, event)} that was given up {how} after all"
    return Told(mark="pending", text=text)


# --- gates ---------------------------------------------------------------------------------------


def _step_admitted(telling: Telling, event: Event) -> Told:
    key, title = _key(event), _title(telling, event)
    if event.data.get("gate") == MUTEX:
        return Told(mark="pending", text=f"{title} got the mutex {telling.mutex(key)}".rstrip())
    names: Any = event.payloads.get("names") or {}
    gates = telling.gates(key, names=names) or "the gate"
    verb = "let" if " and " in gates else "lets"
    return Told(
        mark="pending",
        text=f"{gates[:1].upper()}{gates[1:]} {verb} {title} begin{_from(event)}",
    )


def _step_held(telling: Telling, event: Event) -> Told:
    keys: Any = event.data.get("keys", ())
    held: dict[str, list[str]] = {}
    for key in map(str, keys):
        mutex = telling.mutex(key)
        waits = bool(mutex) and telling.passed.get(key, event.seq + 1) > event.seq
        gate = f"the mutex {mutex}" if waits else telling.gates(key) or "its gate"
        held.setdefault(gate, []).append(telling.title(key))
    said = [f"{gate} holds back {list_names(names)}" for gate, names in held.items()]
    text = "; ".join(said[:_NAMES_SHOWN_MAX]) or "Nothing can begin"
    at = _later(event)
    again = f"; asked again at {say_clock(at, now=event.at)}" if at else ""
    return Told(mark="pending", text=f"{text[:1].upper()}{text[1:]}{again}")


def _step_reused(telling: Telling, event: Event) -> Told:
    runs = list_mentioned(event=event)
    text = f"{_title(telling, event)} took over the result of an equal step, which is still fresh"
    return Told(mark="approved", text=text, run_id=runs[0] if runs else None)


def _step_refused(telling: Telling, event: Event) -> Told:
    error = event.data.get("error", "")
    return Told(mark="failed", text=f"{_title(telling, event)} wanted what cannot be: {error}")


# --- time ----------------------------------------------------------------------------------------


def _timer_fired(telling: Telling, event: Event) -> Told:
    purpose, key = read_timer(str(event.data.get("timer", "")))
    at = say_instant(event.at)
    step = telling.step(key)
    title = telling.title(key)
    if purpose is Purpose.SLEEP:
        return Told(mark="approved", text=f"{title} has waited long enough, until {at}")
    if purpose is Purpose.DELAY:
        return Told(mark="pending", text=f"The pause between two turns of {title} was over at {at}")
    if purpose is Purpose.DEADLINE:
        within = _seconds(step.total_seconds if step is not None else None, " within {}")
        return Told(mark="expired", text=f"{title} was not done{within}, by {at}")
    if purpose is Purpose.AFTER:
        visit, _, index = key.rpartition("/")
        ways = _ways(telling, visit)
        seconds = ways[int(index)].seconds if index.isdigit() and int(index) < len(ways) else None
        title = telling.title(visit)
        return Told(
            mark="pending",
            text=f"The run was in {title}{_seconds(seconds, ' for {}')}, until {at}",
        )
    state = telling.plan.states.get(path_of(key))
    lasted = _seconds(state.stuck.seconds if state and state.stuck else None, ": {}")
    return Told(mark="expired", text=f"The run was in {title} for too long{lasted}, at {at}")


# --- waits ---------------------------------------------------------------------------------------


def _event_awaited(telling: Telling, event: Event) -> Told:
    title, type_ = _title(telling, event), event.data.get("type", "")
    if telling.is_listener(_key(event)):
        return Told(mark="pending", text=f"While it is in {title}, the run listens for “{type_}”")
    return Told(mark="pending", text=f"{title} waits for the event “{type_}”")


def _event_received(telling: Telling, event: Event) -> Told:
    title, type_ = _title(telling, event), event.data.get("type", "")
    if telling.is_listener(_key(event)):
        return Told(mark="approved", text=f"The run heard of “{type_}” while it was in {title}")
    return Told(mark="approved", text=f"{title} received the event “{type_}”")


def _event_emitted(telling: Telling, event: Event) -> Told:
    type_ = event.data.get("type", "")
    return Told(mark="approved", text=f"{_title(telling, event)} sent the event “{type_}”")


def _child_started(telling: Telling, event: Event) -> Told:
    step, runs = telling.step(_key(event)), list_mentioned(event=event)
    called = step.verb.reference if step is not None and isinstance(step.verb, Call) else "a run"
    alone = ", and does not wait for its end" if event.data.get("detached") else ""
    text = f"{_title(telling, event)} called {called}{alone}"
    return Told(mark="running", text=text, run_id=runs[0] if runs else None)


def _child_closed(telling: Telling, event: Event) -> Told:
    chip, runs = say_outcome(str(event.data.get("outcome", ""))), list_mentioned(event=event)
    text = f"The run that {_title(telling, event)} called ended: {chip.word.lower()}"
    return Told(mark=chip.mark, text=text, run_id=runs[0] if runs else None)


def _approval_requested(telling: Telling, event: Event) -> Told:
    return Told(mark="waiting", text=f"{_title(telling, event)} asks people")


def _approval_resolved(telling: Telling, event: Event) -> Told:
    chip = say_outcome(str(event.data.get("outcome", "")))
    return Told(mark=chip.mark, text=f"{_title(telling, event)}: {chip.word.lower()}")


def _question_asked(telling: Telling, event: Event) -> Told:
    text = f"A person is asked what becomes of {_title(telling, event)}"
    return Told(mark="waiting", text=text)


def _question_resolved(telling: Telling, event: Event) -> Told:
    title, choice = _title(telling, event), str(event.data.get("choice", ""))
    said = {
        "retry": f"A person had {title} tried again",
        "skip": f"A person had {title} skipped",
        "fail": f"A person let {title} fail",
    }
    return Told(mark="approved", text=said.get(choice, f"A person decided about {title}: {choice}"))


def _wait_withdrawn(telling: Telling, event: Event) -> Told:
    title, verb = _title(telling, event), str(event.data.get("verb", ""))
    if telling.is_listener(_key(event)):
        text = f"The run listens no more to what it heard in {title}"
    elif verb == AwaitEvent.verb:
        text = f"{title} waits for its event no more"
    elif verb == Call.verb:
        text = f"{title} waits for the run it called no more, which is cancelled"
    elif verb == QUESTION:
        text = f"Nobody is asked any more what becomes of {title}"
    else:
        text = f"{title} asks people no more"
    return Told(mark="cancelled", text=text)


# A kind without a line here fails a test. Source: EventKind.
TELLERS: Final[Mapping[str, Callable[[Telling, Event], Told]]] = {
    EventKind.RUN_STARTED: _run_started,
    EventKind.RUN_ADMITTED: _run_admitted,
    EventKind.RUN_OWNED: _run_owned,
    EventKind.RUN_MIGRATED: _run_migrated,
    EventKind.STEP_STARTED: _step_started,
    EventKind.STEP_COMPLETED: _step_completed,
    EventKind.ATTEMPT_FAILED: _attempt_failed,
    EventKind.ATTEMPT_LOST: _attempt_lost,
    EventKind.ATTEMPT_UNCERTAIN: _attempt_uncertain,
    EventKind.ATTEMPT_LATE: _attempt_late,
    EventKind.ATTEMPT_CLAIMED: _attempt_claimed,
    EventKind.STEP_ADMITTED: _step_admitted,
    EventKind.STEP_HELD: _step_held,
    EventKind.STEP_REUSED: _step_reused,
    EventKind.TIMER_FIRED: _timer_fired,
    EventKind.EVENT_AWAITED: _event_awaited,
    EventKind.EVENT_RECEIVED: _event_received,
    EventKind.EVENT_EMITTED: _event_emitted,
    EventKind.CHILD_STARTED: _child_started,
    EventKind.STEP_REFUSED: _step_refused,
    EventKind.CHILD_CLOSED: _child_closed,
    EventKind.QUESTION_ASKED: _question_asked,
    EventKind.QUESTION_RESOLVED: _question_resolved,
    EventKind.WAIT_WITHDRAWN: _wait_withdrawn,
    EventKind.APPROVAL_REQUESTED: _approval_requested,
    EventKind.APPROVAL_RESOLVED: _approval_resolved,
    EventKind.RUN_CANCEL_REQUESTED: _run_cancel_requested,
    EventKind.RUN_PAUSED: _run_paused,
    EventKind.RUN_RESUMED: _run_resumed,
    EventKind.STEP_RETRY_REQUESTED: _retry_requested,
    EventKind.STEP_SKIP_REQUESTED: _skip_requested,
    EventKind.EVENT_ADDRESSED: _event_addressed,
    EventKind.RUN_CLOSED: _run_closed,
    EventKind.RUN_HALTED: _run_halted,
}


# --- small parts ---------------------------------------------------------------------------------


def _say_end(telling: Telling, key: str, outcome: str, why: str) -> str:
    """Return how something ended or was entered, with "{}" for what."""
    step = telling.step(key)
    if outcome == ENTERED:
        return "entered {}"
    if outcome == STUCK:
        return "{} lasted for too long"
    if outcome == "succeeded":
        if step is not None and isinstance(step.verb, SetVars) and not is_undo(key):
            return f"{{}} set {', '.join(step.verb.values)}"
        return "finished {}"
    words = {"skipped": "skipped {}", "unreached": "did not reach {}", "cancelled": "cancelled {}"}
    if outcome not in words:
        return "{} failed" if outcome == "failed" else f"{{}}: {say_outcome(outcome).word.lower()}"
    reason = explain_end(outcome, why).rstrip(".")
    return words[outcome] + (f" ({reason[:1].lower()}{reason[1:]})" if reason else "")


def _key(event: Event) -> str:
    return str(event.data.get("key", ""))


def _title(telling: Telling, event: Event) -> str:
    return telling.title(_key(event))


def _again(event: Event) -> str:
    attempt = event.data.get("attempt")
    return f" (attempt {attempt})" if isinstance(attempt, int) and attempt > 1 else ""


def _later(event: Event) -> datetime | None:
    delay = event.data.get("delay_ms")
    return event.at + timedelta(milliseconds=delay) if isinstance(delay, int) and delay else None


def _from(event: Event) -> str:
    at = _later(event)
    return f" at {say_instant(at)}" if at else ""


def _seconds(seconds: float | None, template: str) -> str:
    return template.format(say_duration(timedelta(seconds=seconds))) if seconds else ""


def _ways(telling: Telling, visit: str) -> Sequence[Any]:
    state = telling.plan.states.get(path_of(visit))
    return state.transitions if state is not None else ()

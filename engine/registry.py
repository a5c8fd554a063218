"""Where packages above plug into the engine, filled in their `ready()`. Read `register_verb`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.actions.contract import ActionSpec
from engine.domain.comparing import WaitComparer
from engine.domain.unwinding import QUESTION
from engine.domain.verbs import WaitVerb
from engine.ports import Alarm, Answer, WaitOpener

SweepFunction = Callable[[], int]
AlarmFunction = Callable[[Alarm], None]
AnswerFunction = Callable[[Answer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVerb:
    """A waiting verb: its pure half and its writing half."""

    verb: WaitVerb
    opener: WaitOpener
    compare: WaitComparer | None = None


_VERBS: dict[str, RegisteredVerb] = {}
_ACTIONS: dict[str, ActionSpec] = {}
_SWEEPS: dict[str, SweepFunction] = {}
_ALARMS: list[AlarmFunction] = []
_QUESTIONS: dict[str, WaitOpener] = {}
_ANSWERS: list[AnswerFunction] = []


def register_verb(
    verb: WaitVerb, opener: WaitOpener, *, compare: WaitComparer | None = None
) -> None:
    """Let definitions use a waiting verb; `compare` says what changed between two of its blocks."""
    assert verb.name not in _VERBS, f"the verb {verb.name} is registered twice"
    _VERBS[verb.name] = RegisteredVerb(verb=verb, opener=opener, compare=compare)


def register_questions(opener: WaitOpener) -> None:
    """Let steps that failed wait for a person. No definition names the verb of that wait."""
    assert not _QUESTIONS, "somebody asks already"
    _QUESTIONS[QUESTION] = opener


def register_answers(function: AnswerFunction) -> None:
    """Let an operator's verb answer the open question about a step, as that person.

    The function is called outside any transaction; it raises what keeps the person from answering.
    """
    assert not _ANSWERS, "somebody takes answers already"
    _ANSWERS.append(function)


def register_alarm(function: AlarmFunction) -> None:
    """Let a package tell people that a run is in a state for too long.

    The function is called in the transaction of the entry that says so, perhaps more than once.
    """
    assert function not in _ALARMS, "the alarm is registered twice"
    _ALARMS.append(function)


def register_action(spec: ActionSpec) -> None:
    """Let definitions use an action, as `name@version`."""
    assert spec.reference not in _ACTIONS, f"the action {spec.reference} is registered twice"
    _ACTIONS[spec.reference] = spec


def register_sweep(name: str, sweep: SweepFunction) -> None:
    """Let the sweep call a function each round; it returns how many rows it moved."""
    assert name not in _SWEEPS, f"the sweep {name} is registered twice"
    _SWEEPS[name] = sweep


def verbs() -> Mapping[str, WaitVerb]:
    """Return the pure halves of the registered verbs by name."""
    return {name: entry.verb for name, entry in _VERBS.items()}


def comparers() -> Mapping[str, WaitComparer]:
    """Return what says how two blocks of a verb differ, by verb, of those that can."""
    return {name: entry.compare for name, entry in _VERBS.items() if entry.compare is not None}


def opener(name: str) -> WaitOpener:
    """Return the writing half of a verb, `question` included. Raises: KeyError."""
    return openers()[name]


def openers() -> Mapping[str, WaitOpener]:
    """Return the writing halves of the registered verbs by name, that of questions last."""
    return {name: entry.opener for name, entry in _VERBS.items()} | _QUESTIONS


def raise_alarm(alarm: Alarm) -> None:
    """Tell people that a run is in a state for too long. Transaction: the entry's."""
    for function in _ALARMS:
        function(alarm)


def answer_question(answer: Answer) -> None:
    """Answer the open question about a step. Raises: whatever keeps the person from it."""
    for function in _ANSWERS:
        function(answer)


def actions() -> Mapping[str, ActionSpec]:
    """Return the registered actions by reference (`python/call@1`), read-only."""
    return MappingProxyType(_ACTIONS)


def sweeps() -> Mapping[str, SweepFunction]:
    """Return the registered sweeps by name, read-only."""
    return MappingProxyType(_SWEEPS)

"""Comparing what happened with what was expected. Read `judge`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json, format_duration, parse_duration
from countersign.testing.answers import names_of
from countersign.testing.plays import Played
from engine.domain.keys import is_earlier
from engine.domain.state import Outcome, StepState, StepStatus

_SHOWN_CHARS_MAX = 500
_NEVER_BEGAN = frozenset({Outcome.SKIPPED, Outcome.UNREACHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One expectation that does not hold. `path` is where it stands below `expect`."""

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.path}: expected {self.expected}, got {self.found}"


def judge(played: Played, expect: Mapping[str, Any]) -> list[Difference]:
    """Return what was expected and is not so, in the order of the case."""
    found: list[Difference] = []
    for name, wanted in expect.items():
        found += _JUDGES[name](played, wanted)
    return found


def list_steps(played: Played) -> list[tuple[str, str]]:
    """Return the steps of a run by key, and how each ended or stands."""
    return [(key, _stand(step)) for key, step in played.state.steps.items() if not is_earlier(key)]


def _judge_outcome(played: Played, wanted: str) -> Iterator[Difference]:
    if played.outcome != wanted:
        why = f" ({played.why})" if played.why else ""
        yield Difference(path="outcome", expected=wanted, found=f"{played.outcome}{why}")


def _judge_outputs(played: Played, wanted: Mapping[str, Json]) -> Iterator[Difference]:
    yield from _compare_named("outputs", wanted, played.outputs)


def _judge_steps(played: Played, wanted: Mapping[str, Any]) -> Iterator[Difference]:
    for name, described in wanted.items():
        found = _find(played, name)
        if not found:
            path = f"steps.{name}"
            yield Difference(path=path, expected="a step", found="no such step in this run")
        for key, step in found:
            path = f"steps.{key}" if len(found) > 1 else f"steps.{name}"
            yield from _judge_step(path, step, described)


def _judge_step(path: str, step: StepState, described: Any) -> Iterator[Difference]:
    wanted: dict[str, Any] = {"outcome": described} if isinstance(described, str) else described
    if "outcome" in wanted and _stand(step) != wanted["outcome"]:
        error = f" ({step.error.kind}: {step.error.message})" if step.error else ""
        reason = error or (f" ({step.why})" if step.why else "")
        yield Difference(path=path, expected=wanted["outcome"], found=f"{_stand(step)}{reason}")
    if "attempts" in wanted and step.attempt != wanted["attempts"]:
        yield Difference(
            path=f"{path}.attempts", expected=str(wanted["attempts"]), found=str(step.attempt)
        )
    kind = step.error.kind if step.error else "no error"
    if "error" in wanted and kind != wanted["error"]:
        yield Difference(path=f"{path}.error", expected=wanted["error"], found=kind)
    if "outputs" in wanted:
        yield from _compare_named(f"{path}.outputs", wanted["outputs"], step.outputs)


def _judge_ran(played: Played, wanted: Sequence[str]) -> Iterator[Difference]:
    for name in wanted:
        if not any(_began(step) for _, step in _find(played, name)):
            yield Difference(path=f"ran.{name}", expected="to begin", found="it never began")


def _judge_not_ran(played: Played, wanted: Sequence[str]) -> Iterator[Difference]:
    for name in wanted:
        began = [key for key, step in _find(played, name) if _began(step)]
        if began:
            said = f"{', '.join(began)} began"
            yield Difference(path=f"not-ran.{name}", expected="never to begin", found=said)


def _judge_waits(played: Played, wanted: Sequence[str]) -> Iterator[Difference]:
    names = {key: set(names_of(key)) for key in played.waits}
    missing = [name for name in wanted if not any(name in known for known in names.values())]
    extra = [key for key, known in names.items() if not known & set(wanted)]
    if missing or extra:
        yield Difference(
            path="waits-for",
            expected=", ".join(wanted) or "nothing",
            found=", ".join(played.waits) or "nothing",
        )


def _judge_asked(played: Played, wanted: Mapping[str, Any]) -> Iterator[Difference]:
    for name, described in wanted.items():
        keys = [key for key in played.asked if name in set(names_of(key))]
        if not keys:
            yield Difference(path=f"asked.{name}", expected="to be asked", found="it was not")
        for key in keys:
            body = played.asked[key]
            shown: dict[str, Any] = {
                "title": body["title"],
                "risk": body["risk"],
                "stages": [stage["id"] for stage in body["stages"] if stage["asked"]],
            }
            for part in ("title", "risk", "stages"):
                if part in described:
                    path = f"asked.{name}.{part}"
                    yield from _compare(path, described[part], shown[part])
            if "subject" in described:
                path = f"asked.{name}.subject"
                yield from _compare_named(path, described["subject"], body["subject"])


def _judge_sent(played: Played, wanted: Sequence[Mapping[str, Json]]) -> Iterator[Difference]:
    found = [
        item if "data" in (wanted[index] if index < len(wanted) else {}) else {"type": item["type"]}
        for index, item in enumerate(played.sent)
    ]
    yield from _compare("sent", list(map(dict, wanted)), found)


def _judge_took(played: Played, wanted: str) -> Iterator[Difference]:
    if parse_duration(wanted) != played.took:
        yield Difference(path="took", expected=wanted, found=format_duration(played.took))


def _judge_problem(played: Played, wanted: str) -> Iterator[Difference]:
    errors = [step.error.message for step in played.state.steps.values() if step.error]
    if not any(wanted in text for text in (played.why, *errors)):
        said = "; ".join(text for text in (played.why, *errors) if text) or "nothing went wrong"
        yield Difference(path="problem", expected=f"{wanted!r} in it", found=said)


_JUDGES: Final[Mapping[str, Callable[[Played, Any], Iterator[Difference]]]] = {
    "outcome": _judge_outcome,
    "outputs": _judge_outputs,
    "steps": _judge_steps,
    "ran": _judge_ran,
    "not-ran": _judge_not_ran,
    "waits-for": _judge_waits,
    "asked": _judge_asked,
    "sent": _judge_sent,
    "took": _judge_took,
    "problem": _judge_problem,
}


def _find(played: Played, name: str) -> list[tuple[str, StepState]]:
    """Return the instances a name means: by key, by path, or by the step's id."""
    return [
        (key, step)
        for key, step in played.state.steps.items()
        if not is_earlier(key) and name in set(names_of(key))
    ]


def _stand(step: StepState) -> str:
    return str(step.outcome or step.status)


def _began(step: StepState) -> bool:
    if step.outcome is not None:
        had_begun = step.outcome is not Outcome.CANCELLED or step.attempt > 0
        return step.outcome not in _NEVER_BEGAN and had_begun
    return step.status not in {StepStatus.PENDING, StepStatus.HELD, StepStatus.READY}


def _compare_named(
    path: str, wanted: Mapping[str, Json], found: Mapping[str, Json]
) -> Iterator[Difference]:
    """Compare the keys that are named."""
    for name, value in wanted.items():
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            yield Difference(
                path=f"{path}.{name}", expected=_show(value), found=f"nothing; there is: {known}"
            )
        else:
            yield from _compare(f"{path}.{name}", value, found[name])


def _compare(path: str, wanted: Any, found: Any) -> Iterator[Difference]:
    """Yield where two values differ, down to the smallest place; lists of one length item by item.

    1 and 1.0 are one number, as on record; a boolean is none.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted({*wanted, *found}):
            inside = f"{path}.{key}"
            if key not in found:
                yield Difference(path=inside, expected=_show(wanted[key]), found="nothing")
            elif key not in wanted:
                yield Difference(path=inside, expected="nothing", found=_show(found[key]))
            else:
                yield from _compare(inside, wanted[key], found[key])
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _compare(f"{path}[{index}]", one, other)
    elif isinstance(wanted, bool) is not isinstance(found, bool) or wanted != found:
        yield Difference(path=path, expected=_show(wanted), found=_show(found))


def _show(value: Any) -> str:
    text = canonical_bytes(value).decode()
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…"

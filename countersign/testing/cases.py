"""Test files: what happens around a run, and what is expected of it. Read `read_cases` first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from core.kernel.errors import Problem
from core.kernel.types import Json, parse_duration
from engine.domain.flow.loader import Loaded, load
from engine.domain.flow.positions import pointer

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_SCHEMA = Path(__file__).with_name("cases.schema.json")
_BY_STEP = ("results", "decisions")  # of which a case replaces single steps
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one attempt, or one called run, gives. With `error`, it fails with that kind."""

    value: Json = None
    error: str = ""
    message: str = ""
    outcome: str = ""
    outputs: Mapping[str, Json] = field(default_factory=dict)
    takes: timedelta = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How people decide, `after` a while. `outcome`: approve, reject, retry, skip or fail."""

    outcome: str
    form: Mapping[str, Json] | None = None
    votes: Sequence[Json] = ()
    after: timedelta = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event somebody sends `after` the start."""

    type: str
    data: Mapping[str, Json]
    after: timedelta = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """What is given for a step: one value for ever, or one for each time."""

    values: tuple[Any, ...]
    is_list: bool

    def at(self, index: int) -> Any:
        """Return the value of a time, from 0; `None` if a list has no more."""
        if not self.is_list:
            return self.values[0]
        return self.values[index] if index < len(self.values) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. `expect` is as written; `line` is where it begins in its file."""

    name: str
    line: int
    project: str = "test"
    at: datetime = START
    inputs: Mapping[str, Json] = field(default_factory=dict)
    event: Json = None
    results: Mapping[str, Canned] = field(default_factory=dict)
    decisions: Mapping[str, Canned] = field(default_factory=dict)
    events: tuple[Sent, ...] = ()
    cancel_after: timedelta | None = None
    cancel_reason: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """A test file. With `problems`, there are no cases. `definition` is as written."""

    definition: str = ""
    cases: tuple[Case, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_cases(source: str | bytes) -> CaseFile:
    """Return the cases of a test file, or everything that is wrong with it, with positions.

    The text is YAML as definitions are: 1.2, without anchors.
    """
    loaded = load(source)
    if loaded.problems:
        return CaseFile(problems=loaded.problems)
    problems = [_problem(loaded, error) for error in _validator().iter_errors(loaded.value)]
    if problems:
        return CaseFile(problems=tuple(sorted(problems, key=_place)))
    document: Any = loaded.value
    shared = {key: value for key, value in document.items() if key not in {"definition", "cases"}}
    named = document.get("cases") or {"": {}}
    cases = []
    for name, own in named.items():
        path = pointer(("cases", name)) if name else ""
        line, column = loaded.places.find(path, key=True)
        case, problem = _read_case(name, _merge(shared, own), line=line)
        if problem:
            problems.append(Problem(message=problem, path=path, line=line, column=column))
        elif case is not None:
            cases.append(case)
    if problems:
        return CaseFile(problems=tuple(problems))
    return CaseFile(definition=document["definition"], cases=tuple(cases))


def schema_text() -> str:
    """Return the JSON Schema of test files, for editors."""
    return _SCHEMA.read_text(encoding="utf-8")


def _merge(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**shared, **own}
    for key in _BY_STEP:
        if key in shared and key in own:
            merged[key] = {**shared[key], **own[key]}
    return merged


def _read_case(name: str, value: Mapping[str, Any], *, line: int) -> tuple[Case | None, str]:
    """Return a case, or what is wrong with it beyond the schema."""
    if not value.get("expect"):
        return None, "The case expects nothing; say what, under `expect`."
    try:
        cancel = value.get("cancel")
        case = Case(
            name=name,
            line=line,
            project=value.get("project", "test"),
            at=_instant(value["at"]) if "at" in value else START,
            inputs=value.get("inputs", {}),
            event=value.get("event"),
            results={key: _canned(item, _result) for key, item in value.get("results", {}).items()},
            decisions={
                key: _canned(item, _decision) for key, item in value.get("decisions", {}).items()
            },
            events=tuple(
                Sent(type=item["type"], data=item.get("data", {}), after=_duration(item))
                for item in value.get("events", ())
            ),
            cancel_after=_duration(cancel) if cancel else None,
            cancel_reason=cancel.get("reason", "") if cancel else "",
            expect=value["expect"],
        )
        if "took" in case.expect:
            _duration({"after": case.expect["took"]})
    except ValueError as error:
        return None, str(error)
    return case, ""


def _canned(value: Any, read: Any) -> Canned:
    is_list = isinstance(value, list)
    return Canned(values=tuple(map(read, value if is_list else [value])), is_list=is_list)


def _result(value: Mapping[str, Any]) -> Result:
    return Result(
        value=value.get("result"),
        error=value.get("error", ""),
        message=value.get("message", ""),
        outcome=value.get("outcome", ""),
        outputs=value.get("outputs", {}),
        takes=_duration(value, "takes"),
    )


def _decision(value: Any) -> Decision:
    if isinstance(value, str):
        return Decision(outcome=value)
    return Decision(
        outcome=value["outcome"],
        form=value.get("form"),
        votes=value.get("votes", ()),
        after=_duration(value),
    )


def _duration(value: Mapping[str, Any], key: str = "after") -> timedelta:
    text = value.get(key, "PT0S")
    found = parse_duration(text)
    if found is None:
        message = f"{text!r} is no ISO 8601 duration, such as PT30M."
        raise ValueError(message)
    return found


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        message = f"{text!r} has no offset; write 2026-01-01T12:00:00Z."
        raise ValueError(message)
    return found.astimezone(UTC)


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_text()))


def _problem(loaded: Loaded, error: ValidationError) -> Problem:
    # Of several forms that are possible, the one that was meant.
    told = best_match([error]) or error
    path = pointer(told.absolute_path)
    line, column = loaded.places.find(path)
    return Problem(message=f"{told.message[:500]}.", path=path, line=line, column=column)


def _place(problem: Problem) -> tuple[int, int]:
    return problem.line or 0, problem.column or 0

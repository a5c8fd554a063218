"""A definition as far as it has the right types, so that its meaning can be checked.

Read `read_draft` first. What has a wrong type or is missing reads as empty here; `shape` has
reported it already.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.kernel.types import Json, parse_duration
from engine.domain.flow.positions import pointer

JsonMap = dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDraft:
    """An action with its arguments. `path` is where `uses` and `with` are."""

    path: str
    uses: str
    arguments: JsonMap
    retry: JsonMap
    timeout_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraft:
    """A step. `call` is its action, `block` the block of its waiting verb `verb`."""

    id: str
    path: str
    call: CallDraft | None
    verb: str
    block: Json
    needs: Mapping[str, str]  # id → where it is written
    condition: str | None
    join: str
    compensate: CallDraft | None
    compensate_on_failure: bool
    on_error: JsonMap | None
    undoes: Mapping[str, str]  # the steps `on-error` compensates: id → where it is written
    outputs: Mapping[str, str] | None
    effect: str
    later_keys: frozenset[str]  # keys of the step that belong to a later version


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A definition."""

    name: str
    title: str
    inputs: Json
    variables: JsonMap
    retry: JsonMap
    timeout_seconds: float | None
    triggers: tuple[str, ...]
    steps: Mapping[str, StepDraft]
    outputs: Mapping[str, str]


def read_draft(value: JsonMap, *, later: frozenset[str], verbs: tuple[str, ...]) -> Draft:
    """Return what can be read of a definition.

    `later` are the step keys of a later version, `verbs` the names of the waiting verbs.
    """
    defaults = map_at(value, "defaults")
    steps = {
        step: _read_step(step, item if isinstance(item, dict) else {}, later=later, verbs=verbs)
        for step, item in map_at(value, "steps").items()
    }
    name = text_at(value, "name")
    return Draft(
        name=name,
        title=text_at(value, "title") or name,
        inputs=value.get("inputs"),
        variables=map_at(value, "vars"),
        retry=map_at(defaults, "retry"),
        timeout_seconds=seconds_at(defaults, "timeout"),
        triggers=_read_triggers(value.get("triggers")),
        steps=steps,
        outputs=texts_at(value, "outputs") or {},
    )


def text_at(value: JsonMap, key: str) -> str:
    """Return the text at a key, or an empty one."""
    item = value.get(key)
    return item if isinstance(item, str) else ""


def map_at(value: JsonMap, key: str) -> JsonMap:
    """Return the map at a key, or an empty one."""
    item = value.get(key)
    return item if isinstance(item, dict) else {}


def places_at(value: JsonMap, key: str, *, path: str) -> dict[str, str]:
    """Return the texts of the list at a key with their pointers, the first of equal ones."""
    item = value.get(key)
    places: dict[str, str] = {}
    for index, text in enumerate(item if isinstance(item, list) else ()):
        if isinstance(text, str):
            places.setdefault(text, pointer([key, index], base=path))
    return places


def texts_at(value: JsonMap, key: str) -> dict[str, str] | None:
    """Return the texts of the map at a key, or `None` when there is no map."""
    item = value.get(key)
    if not isinstance(item, dict):
        return None
    return {name: text for name, text in item.items() if isinstance(text, str)}


def seconds_at(value: JsonMap, key: str) -> float | None:
    """Return the seconds of the duration at a key, or `None`."""
    duration = parse_duration(text_at(value, key))
    return None if duration is None else duration.total_seconds()


def _read_step(
    step: str, value: JsonMap, *, later: frozenset[str], verbs: tuple[str, ...]
) -> StepDraft:
    path = pointer(["steps", step])
    verb = next((name for name in verbs if name in value), "")
    undo, condition = value.get("compensate"), value.get("if")
    on_error = value.get("on-error")
    return StepDraft(
        id=step,
        path=path,
        call=_read_call(value, path=path) if "uses" in value else None,
        verb=verb,
        block=value.get(verb),
        needs=places_at(value, "needs", path=path),
        condition=condition if isinstance(condition, str) else None,
        join=text_at(value, "join") or "all",
        compensate=_read_call(undo, path=f"{path}/compensate") if isinstance(undo, dict) else None,
        compensate_on_failure=value.get("compensate-on-failure") is True,
        on_error=on_error if isinstance(on_error, dict) else None,
        undoes=places_at(map_at(value, "on-error"), "compensate", path=f"{path}/on-error"),
        outputs=texts_at(value, "outputs"),
        effect=text_at(value, "effect"),
        later_keys=later.intersection(value),
    )


def _read_call(value: JsonMap, *, path: str) -> CallDraft:
    return CallDraft(
        path=path,
        uses=text_at(value, "uses"),
        arguments=map_at(value, "with"),
        retry=map_at(value, "retry"),
        timeout_seconds=seconds_at(value, "timeout"),
    )


def _read_triggers(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ("manual", "api")
    kinds = [kind for item in value if isinstance(item, dict) for kind in item]
    return tuple(dict.fromkeys(kinds))

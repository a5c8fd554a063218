"""From a definition's JSON to its draft. Read `read_draft` first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.kernel.types import Json, parse_duration
from engine.domain.flow.draft import (
    STEP_VERBS,
    ActionDraft,
    Draft,
    JoinDraft,
    JsonMap,
    Level,
    LevelKind,
    StateDraft,
    StateEventDraft,
    StepDraft,
    TransitionDraft,
    TriggerDraft,
)
from engine.domain.flow.positions import pointer
from engine.domain.flow.schema import language_schema
from engine.domain.plan import Kind, On
from engine.domain.triggers import AUTOMATIC_KINDS


def read_draft(value: JsonMap) -> Draft:
    """Return what can be read of a definition."""
    defaults = map_at(value, "defaults")
    name, kind = text_at(value, "name"), text_at(value, "kind")
    reader = _Reader()
    top = "/states" if kind == Kind.STATES else "/steps"
    states: dict[str, StateDraft] = {}
    if kind == Kind.STATES:
        states = reader.read_states(map_at(value, "states"), path=top)
    else:
        reader.read_level(_members(map_at(value, "steps"), top), path=top)
    return Draft(
        name=name,
        kind=kind,
        title=text_at(value, "title") or name,
        inputs=value.get("inputs"),
        variables=map_at(value, "vars"),
        retry=map_at(defaults, "retry"),
        timeout_seconds=seconds_at(defaults, "timeout"),
        queue=text_at(defaults, "queue"),
        triggers=_read_triggers(value.get("triggers")),
        automatic=tuple(_read_automatic(list_at(value, "triggers"))),
        secrets=places_at(value, "secrets", path=""),
        outputs=texts_at(value, "outputs") or {},
        top=top,
        levels=reader.levels,
        places=reader.places,
        ids=reader.ids,
        states=states,
        initial=text_at(value, "initial"),
        concurrency=map_at(value, "concurrency") if "concurrency" in value else None,
    )


# --- values of the right type, or nothing --------------------------------------------------------


def text_at(value: JsonMap, key: str) -> str:
    """Return the text at a key, or an empty one."""
    item = value.get(key)
    return item if isinstance(item, str) else ""


def map_at(value: JsonMap, key: str) -> JsonMap:
    """Return the map at a key, or an empty one."""
    item = value.get(key)
    return item if isinstance(item, dict) else {}


def list_at(value: JsonMap, key: str) -> list[Json]:
    """Return the list at a key, or an empty one."""
    item = value.get(key)
    return item if isinstance(item, list) else []


def whole_at(value: JsonMap, key: str, default: int = 0) -> int:
    """Return the whole number at a key, or a default."""
    item = value.get(key)
    return item if isinstance(item, int) and not isinstance(item, bool) else default


def places_at(value: JsonMap, key: str, *, path: str) -> dict[str, str]:
    """Return the texts of the list at a key with their pointers, the first of equal ones."""
    places: dict[str, str] = {}
    for index, text in enumerate(list_at(value, key)):
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


def condition_at(value: JsonMap, key: str) -> str | None:
    """Return the text at a key, or `None`."""
    item = value.get(key)
    return item if isinstance(item, str) else None


def enough_at(value: JsonMap, key: str) -> JoinDraft:
    """Return the `{count, cancel-rest}` at a key; a count of 0 when there is none."""
    item = map_at(value, key)
    return JoinDraft(
        kind="count" if item else "all",
        count=whole_at(item, "count"),
        cancel_rest=item.get("cancel-rest") is True,
    )


# --- steps and states ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inside:
    """What a level is in."""

    owner: str = ""
    depth: int = 0
    names: frozenset[str] = frozenset()


_OUTERMOST = _Inside()


@dataclass(slots=True, kw_only=True)
class _Reader:
    levels: dict[str, Level] = field(default_factory=dict)
    places: dict[str, StepDraft] = field(default_factory=dict)
    ids: dict[str, StepDraft] = field(default_factory=dict)

    def read_level(
        self,
        members: Mapping[str, tuple[str, JsonMap]],
        *,
        path: str,
        kind: LevelKind = LevelKind.STEPS,
        inside: _Inside = _OUTERMOST,
    ) -> None:
        """Read steps that are beside each other, given as id → (path, value)."""
        steps = {
            step: _read_step(step, value, path=place, level=path)
            for step, (place, value) in members.items()
        }
        self.levels[path] = Level(
            path=path,
            kind=kind,
            owner=inside.owner,
            depth=inside.depth,
            names=inside.names,
            steps=steps,
        )
        for step in steps.values():
            self.places[step.path] = step
            self.ids.setdefault(step.id, step)
        for step in steps.values():
            self._read_inner(step, inside=inside)

    def read_states(self, value: JsonMap, *, path: str) -> dict[str, StateDraft]:
        """Read the states and, as their level, what they do."""
        items = {
            state: (pointer([state], base=path), item if isinstance(item, dict) else {})
            for state, item in value.items()
        }
        active = {
            state: (place, item)
            for state, (place, item) in items.items()
            if any(verb in item for verb in STEP_VERBS)
        }
        self.read_level(active, path=path, kind=LevelKind.STATES)
        steps = self.levels[path].steps
        return {
            state: _read_state(state, item, path=place, step=steps.get(state))
            for state, (place, item) in items.items()
        }

    def _read_inner(self, step: StepDraft, *, inside: _Inside) -> None:
        if not step.inner:
            return
        names = inside.names | ({step.item} if step.is_map else set())
        names |= {"matrix"} if step.is_matrix else set()
        inner = _Inside(
            owner=step.path,
            depth=inside.depth + 1 + (step.is_map or step.is_matrix) + step.is_loop,
            names=names,
        )
        if isinstance(step.block, dict):
            members = _members(step.block, step.inner)
            self.read_level(members, path=step.inner, inside=inner)
        elif isinstance(step.block, list):
            members = _branches(step.block, step.inner)
            self.read_level(members, path=step.inner, kind=LevelKind.RACE, inside=inner)


def _members(value: JsonMap, path: str) -> dict[str, tuple[str, JsonMap]]:
    return {
        step: (pointer([step], base=path), item if isinstance(item, dict) else {})
        for step, item in value.items()
    }


def _branches(value: list[Json], path: str) -> dict[str, tuple[str, JsonMap]]:
    """Return branches by id; without one, or with one that is there already, a number tells."""
    found: dict[str, tuple[str, JsonMap]] = {}
    for index, item in enumerate(value):
        branch = item if isinstance(item, dict) else {}
        name = text_at(branch, "id")
        key = name if name and name not in found else f"{name}#{index}"
        found[key] = (pointer([index], base=path), branch)
    return found


def _read_step(step: str, value: JsonMap, *, path: str, level: str) -> StepDraft:
    verb = next((name for name in STEP_VERBS if name in value), "")
    block, undo, on_error = value.get(verb), value.get("compensate"), value.get("on-error")
    holds = (verb == "steps" and isinstance(block, dict)) or (
        verb == "race" and isinstance(block, list)
    )
    uses_action = verb == "uses"
    return StepDraft(
        id=step.partition("#")[0],
        path=path,
        level=level,
        value=value,
        verb=verb,
        block=block,
        action=_read_action(value, path=path) if uses_action else None,
        inner=pointer([verb], base=path) if holds else "",
        needs=places_at(value, "needs", path=path),
        condition=condition_at(value, "if"),
        join=_read_join(value),
        item=_read_item(value),
        compensate=(
            _read_action(undo, path=f"{path}/compensate") if isinstance(undo, dict) else None
        ),
        compensate_on_failure=value.get("compensate-on-failure") is True,
        on_error=on_error if isinstance(on_error, dict) else None,
        undoes=places_at(map_at(value, "on-error"), "compensate", path=f"{path}/on-error"),
        outputs=texts_at(value, "outputs"),
        effect=text_at(value, "effect"),
        total_seconds=_read_total(value, is_attempt=uses_action),
    )


def _read_item(value: JsonMap) -> str:
    if "map" not in value:
        return ""
    schema = language_schema()["$defs"]["map"]["properties"]["as"]
    return text_at(map_at(value, "map"), "as") or str(schema["default"])


def _read_join(value: JsonMap) -> JoinDraft:
    if isinstance(value.get("join"), dict):
        return enough_at(value, "join")
    return JoinDraft(kind=text_at(value, "join") or "all")


def _read_total(value: JsonMap, *, is_attempt: bool) -> float | None:
    """Return the seconds the step may take; a plain duration of an action is of one attempt."""
    if isinstance(value.get("timeout"), dict):
        return seconds_at(map_at(value, "timeout"), "total")
    return None if is_attempt else seconds_at(value, "timeout")


def _read_action(value: JsonMap, *, path: str) -> ActionDraft:
    both = value.get("timeout")
    return ActionDraft(
        path=path,
        uses=text_at(value, "uses"),
        arguments=map_at(value, "with"),
        retry=map_at(value, "retry"),
        timeout_seconds=(
            seconds_at(both, "attempt") if isinstance(both, dict) else seconds_at(value, "timeout")
        ),
    )


def _read_state(state: str, value: JsonMap, *, path: str, step: StepDraft | None) -> StateDraft:
    stuck = map_at(value, "stuck")
    return StateDraft(
        id=state,
        path=path,
        value=value,
        step=step,
        transitions=tuple(
            _read_transition(item, path=pointer(["transitions", index], base=path))
            for index, item in enumerate(list_at(value, "transitions"))
            if isinstance(item, dict)
        ),
        events=tuple(
            StateEventDraft(
                path=pointer(["events", index], base=path),
                type=text_at(item, "event"),
                correlate=texts_at(item, "correlate") or {},
                condition=condition_at(item, "if"),
                values=texts_at(item, "set") or {},
                to=text_at(item, "to"),
            )
            for index, item in enumerate(list_at(value, "events"))
            if isinstance(item, dict)
        ),
        stuck_seconds=seconds_at(stuck, "after"),
        stuck_to=text_at(stuck, "to"),
        is_final="final" in value,
        result=text_at(value, "result") or "succeeded",
    )


def _read_transition(value: JsonMap, *, path: str) -> TransitionDraft:
    kind = next((item.value for item in On if item.value in value), "")
    return TransitionDraft(
        path=path,
        kind=kind,
        name=text_at(value, kind) if kind in {On.EVENT, On.OUTCOME} else "",
        seconds=seconds_at(value, "after"),
        condition=condition_at(value, "if"),
        values=texts_at(value, "set") or {},
        to=text_at(value, "to"),
        continues=value.get("continue-as-new") is True,
    )


def _read_automatic(value: list[Json]) -> Iterator[TriggerDraft]:
    for index, item in enumerate(value):
        for kind, inner in item.items() if isinstance(item, dict) else ():
            if kind in AUTOMATIC_KINDS and isinstance(inner, dict):
                path = pointer([index, kind], base="/triggers")
                inputs = texts_at(inner, "inputs") or {}
                yield TriggerDraft(path=path, kind=kind, value=inner, inputs=inputs)


def _read_triggers(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ("manual", "api")
    kinds = [kind for item in value if isinstance(item, dict) for kind in item]
    return tuple(dict.fromkeys(kinds))

"""What a move does beside its entries. Read `execute`.

Everything here happens in the transaction of the append, after the run's own row was written, so
either the entry that tells of it and the thing itself exist, or neither. Locks are taken in the
order of ENGINE §3: the run, its children, requests, events, slots.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from core.kernel.record import ENGINE_ORIGIN
from engine import registry
from engine.domain.moving import Effect, EffectKind
from engine.domain.plan import AwaitEvent, Call
from engine.flow_control import groups
from engine.gates import mutex
from engine.inbox import Awaited
from engine.ports import Alarm, OpeningWait
from engine.selectors.facts import get_run_facts
from engine.services import children, events
from engine.services.events import Emitted
from engine.writing import Place, Written

# What a withdrawal of the same move takes back. A child has begun all the same, and is cancelled.
_OPENING = frozenset({EffectKind.OPEN, EffectKind.ASK, EffectKind.AWAIT})

Executor = Callable[[Place, Sequence[Effect], Written], None]


def execute(place: Place, effects: Sequence[Effect], written: Written) -> None:
    """Do what a move that was just written asks for. Transaction: the append's."""
    by_kind: dict[EffectKind, list[Effect]] = {}
    for effect in _lasting(effects):
        by_kind.setdefault(effect.kind, []).append(effect)
    for kinds, executor in _EXECUTORS.items():
        found = [effect for kind in kinds for effect in by_kind.get(kind, ())]
        if found:
            executor(place, found, written)


def _lasting(effects: Sequence[Effect]) -> list[Effect]:
    """Leave out the waits that the same move opens and takes back: nobody ever sees them."""
    taken_back = {
        effect.key: index
        for index, effect in enumerate(effects)
        if effect.kind is EffectKind.WITHDRAW
    }
    return [
        effect
        for index, effect in enumerate(effects)
        if effect.kind not in _OPENING or taken_back.get(effect.key, -1) < index
    ]


def _call(place: Place, effects: Sequence[Effect], written: Written) -> None:
    del written
    for effect in effects:
        body: Mapping[str, Any] = effect.body
        children.start_child(
            parent_id=place.run.id,
            key=effect.key,
            child_id=UUID(body["run"]),
            version_id=UUID(body["version"]["version"]),
            arguments=body["inputs"],
            detached=body["detached"],
            priority=body["priority"],
        )


def _withdraw(place: Place, effects: Sequence[Effect], written: Written) -> None:
    by_verb: dict[str, list[Effect]] = {}
    for effect in effects:
        by_verb.setdefault(effect.verb, []).append(effect)
    for effect in by_verb.pop(Call.verb, ()):
        children.withdraw_child(run_id=place.run.id, key=effect.key)
    awaited = by_verb.pop(AwaitEvent.verb, ())
    for verb, taken_back in sorted(by_verb.items()):
        registry.opener(verb).withdraw(
            run_id=place.run.id,
            keys=[effect.key for effect in taken_back],
            reason="not_needed",
            origin=ENGINE_ORIGIN,
            at=written.entries[taken_back[0].event].at,
        )
    if awaited:
        events.withdraw_waits(run_id=place.run.id, keys=[effect.key for effect in awaited])


def _open(place: Place, effects: Sequence[Effect], written: Written) -> None:
    facts = get_run_facts(run_id=place.run.id)
    for effect in effects:
        entry = written.entries[effect.event]
        registry.opener(effect.verb).open(
            OpeningWait(
                run=facts,
                key=effect.key,
                step=effect.step,
                body=effect.body,
                seq=entry.seq,
                leaf=entry.leaf,
                at=entry.at,
            )
        )


def _exchange(place: Place, effects: Sequence[Effect], written: Written) -> None:
    del written
    bodies: Sequence[tuple[Effect, Mapping[str, Any]]] = [(item, item.body) for item in effects]
    events.exchange(
        run_id=place.run.id,
        project_id=place.project_id,
        awaited=[
            Awaited(key=item.key, type=body["type"], correlate=body["correlate"])
            for item, body in bodies
            if item.kind is EffectKind.AWAIT
        ],
        emitted=[
            Emitted(id=UUID(body["event"]), key=item.key, type=body["type"], data=body["data"])
            for item, body in bodies
            if item.kind is EffectKind.EMIT
        ],
    )


def _continue(place: Place, effects: Sequence[Effect], written: Written) -> None:
    del written
    for effect in effects:
        body: Mapping[str, Any] = effect.body
        children.continue_run(
            run_id=place.run.id,
            successor_id=UUID(body["run"]),
            state=body["state"],
            variables=body["vars"],
            inputs=body["inputs"],
            calls=body["calls"],
            facts=body["facts"],
        )


def _alarm(place: Place, effects: Sequence[Effect], written: Written) -> None:
    facts = get_run_facts(run_id=place.run.id)
    for effect in effects:
        body: Mapping[str, Any] = effect.body
        registry.raise_alarm(
            Alarm(
                run=facts,
                key=effect.key,
                state=effect.step,
                notify=body["notify"],
                since=datetime.fromisoformat(body["since"]),
                at=written.entries[effect.event].at,
            )
        )


def _release(place: Place, effects: Sequence[Effect], written: Written) -> None:
    del written
    mutex.release(run_id=place.run.id, keys=[effect.key for effect in effects])


def _leave(place: Place, effects: Sequence[Effect], written: Written) -> None:
    del effects, written
    groups.leave(run_id=place.run.id)


# In the order in which their locks are taken.
_EXECUTORS: Mapping[tuple[EffectKind, ...], Executor] = {
    (EffectKind.CALL,): _call,
    (EffectKind.WITHDRAW,): _withdraw,
    (EffectKind.OPEN, EffectKind.ASK): _open,
    (EffectKind.ALARM,): _alarm,
    (EffectKind.AWAIT, EffectKind.EMIT): _exchange,
    (EffectKind.CONTINUE,): _continue,
    (EffectKind.RELEASE,): _release,
    (EffectKind.LEAVE,): _leave,
}

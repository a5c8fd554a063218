"""What a move does beside its entries. Read `execute`.

Everything here happens in the transaction of the append, after the run's own row was written, so
either the entry that tells of it and the thing itself exist, or neither. Locks are taken in the
order of ENGINE §3: the run, its children, requests, slots.
"""

from collections.abc import Callable, Mapping, Sequence

from engine import registry
from engine.domain.moving import Effect, EffectKind
from engine.ports import OpeningWait
from engine.selectors.facts import get_run_facts
from engine.writing import Place, Written

Executor = Callable[[Place, Sequence[Effect], Written], None]


def execute(place: Place, effects: Sequence[Effect], written: Written) -> None:
    """Do what a move that was just written asks for. Transaction: the append's."""
    by_kind: dict[EffectKind, list[Effect]] = {}
    for effect in effects:
        by_kind.setdefault(effect.kind, []).append(effect)
    for kind, executor in _EXECUTORS.items():
        if kind in by_kind:
            executor(place, by_kind[kind], written)


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


_EXECUTORS: Mapping[EffectKind, Executor] = {EffectKind.OPEN: _open}

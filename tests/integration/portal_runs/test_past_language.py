"""Looking back at runs of the whole language: at every entry, by the page and by the record.

The lives are those of `tests/simulation/lives.py`: random plans, cancelled, retried, paused and so
on. They are put on the record as they were lived, and each is looked back at after every entry.
"""

from dataclasses import dataclass

import pytest
from django.template.loader import render_to_string

from audit import store as ledger
from core.kernel import ids
from core.kernel.record import ENGINE_ORIGIN, Draft
from core.toolkit.portal.address import Query
from engine import loading
from engine.domain.decider import Decider
from engine.domain.plan import Kind, walk
from engine.domain.state import RunState, RunStatus
from engine.models import Run
from engine.past import fold_until
from engine.portal import panels
from engine.portal.context.run import TABS, keys_by_verb, make_past_run
from engine.selectors.past_pages import get_past_page
from engine.selectors.past_runs import Moment
from tests.pure_run import EVALUATOR, VERBS, PureRun
from tests.simulation.lives import play

SEEDS = range(24)
ENTRIES_MAX = 60  # of a life: what is looked back at; the rest is folded only


@dataclass
class Lived:
    """A life on record: the run's row, and the rules it was lived by."""

    run: Run
    decider: Decider
    life: PureRun


def record(yard, seed):
    """Put a life on the record of a project, as the run of a published version."""
    life = play(seed)
    version = yard.publish(life.plan, author="mara")
    stamp = loading.get_stamp(version_id=version.pk)
    decider = Decider(
        plan=life.plan, evaluator=EVALUATOR, verbs=VERBS, version=stamp.version_digest
    )
    loading._rules.keep(
        version.pk,
        loading.Rules(
            decider=decider,
            version_digest=stamp.version_digest,
            scope_id=stamp.scope_id,
            project_id=stamp.project_id,
        ),
    )
    run_id = ids.uuid7()
    drafts = [
        Draft(
            kind=event.kind,
            at=event.at,
            origin=ENGINE_ORIGIN,
            data=event.data,
            payloads=event.payloads,
            version=stamp.version_digest,
            scope=stamp.scope_id,
        )
        for event in life.events
    ]
    last = ledger.append(stream=f"life:{run_id}", drafts=drafts)
    run = Run.objects.create(
        pk=run_id,
        workflow_id=version.workflow_id,
        version=version,
        initiator=yard.users["mara"],
        title="A life",
        status=RunStatus.CLOSED,
        outcome=life.closed,
        seq=last.seq,
        head=last.leaf,
        request_digest=bytes(32),
        created_at=life.events[0].at,
        closed_at=life.events[-1].at,
    )
    return Lived(run=run, decider=decider, life=life)


def look(yard, lived, seq, **query):
    """Return the page and the context of a run as it was after an entry."""
    principal = yard.principal("vera")
    found = get_past_page(principal=principal, run_id=lived.run.pk, moment=Moment(seq=seq))
    waits = panels.find_past_panels(
        principal=principal,
        run_id=lived.run.pk,
        keys_by_verb=keys_by_verb(found.page),
        at=found.past.at,
    )
    return found, make_past_run(found, panels=waits, query=Query(values=query))


@pytest.mark.parametrize("seed", SEEDS)
def test_at_every_entry_the_past_is_the_fold_so_far_and_has_a_page(yard, seed):
    lived = record(yard, seed)
    state = RunState()
    for event in lived.life.events:
        state = lived.decider.fold(state, (event,))
        if event.seq > ENTRIES_MAX and event.seq < lived.run.seq:
            continue
        told = fold_until(run_id=lived.run.pk, known=lived.decider, seq=event.seq)
        tab = list(TABS)[event.seq % len(TABS)]
        found, context = look(yard, lived, event.seq, at=str(event.seq), tab=tab)

        assert (told.state, told.broken) == (state, ""), f"entry {event.seq}"
        assert found.page.detail.unreadable == ""
        assert found.past.variables == state.variables
        assert context.past is not None
        assert (context.past.seq, context.past.last_seq) == (event.seq, lived.run.seq)
        assert context.past.says
        listed = {step.key: step for step in found.page.detail.steps}
        for key in listed.keys() & state.steps.keys():
            assert str(listed[key].outcome or "") == str(state.steps[key].outcome or ""), key
        render_to_string("engine/run.html", {"place": "runs", "run": context})


def test_the_lives_have_all_that_can_be_looked_back_at():
    plans = [play(seed).plan for seed in SEEDS]
    steps = [step for plan in plans for _, step in walk(plan)]

    seen = {type(step.verb).__name__ for step in steps}
    assert {"Group", "Race", "Call", "AwaitEvent", "Timer", "Map", "Loop"} <= seen
    assert {plan.kind for plan in plans} == {Kind.DAG, Kind.STATES}

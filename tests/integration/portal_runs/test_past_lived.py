"""Looking back at runs that were moved, went on as another, called one, or were run again."""

import pytest
from django.template.loader import render_to_string

from audit import store as ledger
from core.toolkit.portal.address import Query
from engine import loading
from engine.domain.state import RunState
from engine.models import Run
from engine.past import fold_until
from engine.portal.context.run import TABS, make_past_run
from engine.selectors.past_pages import get_past_page
from engine.selectors.past_runs import Moment, get_past
from engine.selectors.runs import get_run
from engine.services import migrating, rerunning
from engine.services.migrating import Migration
from engine.services.rerunning import Wish
from engine.services.runs import cancel_run
from tests.integration.engine.living import opened_place

pytestmark = pytest.mark.django_db(transaction=True)

PART = """
schema: flow/v1
kind: dag
name: part
steps: {wait: {wait: {timer: PT1S}}}
"""
LONG = """
schema: flow/v1
kind: states
name: long
inputs: {type: object, properties: {INPUT: {type: string, default: mild}}}
vars: {level: low}
initial: prepare
states:
  prepare: {transitions: [{after: PT1S, to: idle}]}
  idle: {transitions: [{after: PT1H, to: next, continue-as-new: true}]}
  next: {NEXT}
  done: {final: true}
"""
PLAIN = LONG.replace("INPUT", "tone").replace("NEXT", "transitions: [{after: PT1S, to: done}]")
CALLS = LONG.replace("INPUT", "mood").replace(
    "NEXT", 'call: "part@*", transitions: [{on-success: true, to: done}]'
)


@pytest.fixture
def place(monkeypatch):
    with opened_place(monkeypatch) as place:
        place.world.user("olga", "requester", "operator", "publisher")
        yield place


@pytest.fixture
def lived(place):
    """Return the runs of a life: moved, gone on from, called, and run again with taken steps."""
    place.publish_text(PART)
    place.publish_text(PLAIN)
    first = place.start("long")
    place.wait(seconds=2)
    place.publish_text(CALLS)
    olga = place.world.principal("olga")
    migrating.migrate_runs(
        principal=olga,
        project_slug=place.world.slug,
        workflow_slug="long",
        migration=Migration(from_rev=1, to_rev=2, data={"level": "'high'"}),
        reason="better",
    )
    place.wait(hours=1)
    for _ in range(4):
        place.wait(seconds=5)
    cancelled = place.start("long")
    place.wait(seconds=2)
    cancel_run(principal=olga, run_id=cancelled.pk, reason="no")
    place.settle()
    rerunning.rerun(principal=olga, run_id=cancelled.pk, wish=Wish(step="idle"), reason="again")
    place.settle()
    assert Run.objects.get(pk=first.pk).outcome == "continued"
    return list(Run.objects.order_by("number"))


def folds(run):
    """Yield the state after each entry, as the record alone tells it."""
    decider = loading.get_rules(version_id=run.version_id).decider
    entries = ledger.read_verified(stream=run.pk, limit=1_000)
    decider, state = loading.find_decider(entry=entries[0], known=decider), RunState()
    for entry in entries:
        event = loading.make_event(entry)
        decider = loading.follow(decider, event)
        state = decider.fold(state, (event,))
        yield event.seq, decider, state


def test_every_run_of_a_life_can_be_looked_back_at_after_every_entry(place, lived):
    mara = place.world.principal("mara")
    for run in lived:
        known = loading.get_rules(version_id=run.version_id).decider
        for seq, decider, state in folds(run):
            told = fold_until(run_id=run.pk, known=known, seq=seq)
            found = get_past_page(principal=mara, run_id=run.pk, moment=Moment(seq=seq))

            assert (told.state, told.broken) == (state, ""), (run.workflow.slug, seq)
            assert told.decider.version == decider.version
            assert found.past.detail.run.version_digest_hex == decider.version
            for tab in TABS:
                query = Query(values={"at": str(seq), "tab": tab})
                context = make_past_run(found, panels={}, query=query)
                render_to_string("engine/run.html", {"place": "runs", "run": context})


def test_the_newest_entry_of_each_tells_what_it_is_now(place, lived):
    mara = place.world.principal("mara")
    for run in lived:
        past = get_past(principal=mara, run_id=run.pk, moment=Moment(seq=run.seq)).detail
        now = get_run(principal=mara, run_id=run.pk)

        assert (past.run, past.inputs, past.outputs) == (now.run, now.inputs, now.outputs)
        assert (past.shape, past.tallies) == (now.shape, now.tallies)
        outcomes = [[(step.key, step.outcome) for step in item.steps] for item in (past, now)]
        assert outcomes[0] == outcomes[1]


def test_what_was_still_to_come_is_not_told(place, lived):
    mara = place.world.principal("mara")
    first, again = lived[0], lived[-1]
    successor = Run.objects.get(predecessor=first)
    told = [
        get_past(principal=mara, run_id=first.pk, moment=Moment(seq=seq)).detail
        for seq in range(1, first.seq + 1)
    ]

    assert [item.run.version_rev for item in told] == sorted(item.run.version_rev for item in told)
    assert {item.run.version_rev for item in told} == {1, 2}
    assert {item.relations.successor for item in told[:-1]} == {None}
    assert told[-1].relations.successor is not None
    assert told[-1].relations.successor.id == successor.pk
    begun = get_past(principal=mara, run_id=again.pk, moment=Moment(seq=1)).detail
    assert begun.relations.origin is not None
    assert begun.relations.origin.id == lived[-2].pk
    assert begun.relations.origin.status == ""
    called = Run.objects.get(parent=successor)
    links = [
        called.pk
        in get_past(
            principal=mara, run_id=successor.pk, moment=Moment(seq=seq)
        ).detail.relations.others
        for seq in range(1, successor.seq + 1)
    ]
    assert links == sorted(links)
    assert (links[0], links[-1]) == (False, True)

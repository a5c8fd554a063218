"""A run as it was at any of its entries: `engine.past` and `engine.selectors.past_runs`."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import store as ledger
from audit.domain.errors import LedgerCorruptError
from audit.models import Payload
from core.kernel.record import ENGINE_ORIGIN, Draft
from engine import loading
from engine.domain.errors import MomentMissingError, RunMissingError
from engine.domain.events import EventKind
from engine.domain.plan import Plan, Step, Uses
from engine.domain.state import RunState, RunStatus
from engine.models import Run
from engine.past import fold_until
from engine.selectors.past_runs import Moment, get_past
from engine.selectors.runs import get_run
from engine.services.definitions import publish_version, save_version
from engine.services.migrating import Migration, migrate_runs
from engine.services.runs import cancel_run
from tests.replay.history import FOLDER, read_history
from tests.world import fold

PATHS = sorted(FOLDER.glob("*.json"))


def chain(*names, boom=""):
    """Return a plan of steps one after the other."""
    steps: dict[str, Step] = {}
    for name in names:
        function = "t.boom" if name == boom else "t.ok"
        verb = Uses(action="python/call@1", arguments={"function": function, "from": name})
        steps[name] = Step(id=name, verb=verb, needs=tuple(steps)[-1:])
    return Plan(
        name="chain",
        title="Chain",
        inputs_schema={"type": "object"},
        variables={"seen": "inputs"},
        steps=steps,
        outputs={"last": f"steps.{names[-1]}.outcome"},
    )


@pytest.fixture
def played(world, hand, calls):
    """Return the id of a run of three steps that has ended."""
    world.publish(chain("a", "b", "c"), author="mara")
    run_id = world.start("chain", by="mara", inputs={"n": 1}).run_id
    hand.drive(run_id)
    return run_id


def look(world, run_id, seq=None, at=None):
    return get_past(principal=world.principal("mara"), run_id=run_id, moment=Moment(seq=seq, at=at))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_at_every_entry_of_every_recorded_history_the_state_is_the_fold_of_the_entries_so_far(
    world, path
):
    history = read_history(path)
    decider = history.decider()
    version = world.publish(history.plan, author="mara")
    stamp = loading.get_stamp(version_id=version.pk)
    loading._rules.keep(
        version.pk,
        loading.Rules(
            decider=decider,
            version_digest=stamp.version_digest,
            scope_id=stamp.scope_id,
            project_id=stamp.project_id,
        ),
    )
    events = [
        replace(event, data={**event.data, "version_to": str(version.pk)})
        if event.kind == EventKind.RUN_MIGRATED
        else event
        for event in history.events
    ]
    drafts = [
        Draft(
            kind=event.kind,
            at=event.at,
            origin=ENGINE_ORIGIN,
            data=event.data,
            payloads=event.payloads,
        )
        for event in events
    ]
    stream = version.pk  # of no run: any id will do
    ledger.append(stream=f"history:{stream}", drafts=drafts)

    state = RunState()
    for event in events:
        state = decider.fold(state, (event,))
        found = fold_until(run_id=stream, known=decider, seq=event.seq)

        assert (found.head.seq, found.kind, found.broken) == (event.seq, event.kind, "")
        assert found.state == state


def test_the_last_entry_leads_to_what_the_run_is_now(world, played):
    run = Run.objects.get(pk=played)

    past = look(world, played, seq=run.seq)
    now = get_run(principal=world.principal("mara"), run_id=played)

    assert past.detail == now
    assert past.is_newest
    assert past.reading.reader is not None
    assert fold(played).variables == past.variables


def test_every_entry_says_what_was_then(world, played):
    run = Run.objects.get(pk=played)

    told = [look(world, played, seq=seq) for seq in range(1, run.seq + 1)]

    done = [sum(step.outcome is not None for step in item.detail.steps) for item in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 3)
    assert told[0].detail.run.status == RunStatus.READY
    assert told[0].detail.inputs == {"n": 1}
    assert {item.detail.run.outcome for item in told[:-1]} == {""}
    assert told[-1].detail.run.outcome == "succeeded"
    assert [item.detail.run.seq for item in told] == list(range(1, run.seq + 1))
    assert {item.last_seq for item in told} == {run.seq}


def test_an_instant_is_its_newest_entry(world, played):
    first, last = look(world, played, seq=1), look(world, played)

    assert look(world, played, at=first.written_at).seq == 1
    later = look(world, played, at=last.written_at + timedelta(days=9))
    assert (later.seq, later.at) == (last.seq, last.written_at + timedelta(days=9))
    with pytest.raises(MomentMissingError):
        look(world, played, at=first.written_at - timedelta(microseconds=1))


@pytest.mark.parametrize("seq", [0, -1, 10_000])
def test_an_entry_that_is_not_there_has_no_state(world, played, seq):
    with pytest.raises(MomentMissingError):
        look(world, played, seq=seq)


def test_who_may_not_see_the_run_may_not_see_its_past(world, played):
    world.user("stan")

    with pytest.raises(RunMissingError):
        get_past(principal=world.principal("stan"), run_id=played, moment=Moment(seq=1))


def test_an_entry_that_was_changed_is_not_shown(world, played):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_payload DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE audit_payload SET value = '{\"n\":2}' WHERE name = 'inputs' AND entry_id IN"
            " (SELECT id FROM audit_entry WHERE stream = %s)",
            [played],
        )
        cursor.execute("ALTER TABLE audit_payload ENABLE TRIGGER ALL")

    with pytest.raises(LedgerCorruptError):
        look(world, played, seq=1)


def erase(run_id, name):
    rows = Payload.objects.filter(entry__stream=run_id, name=name)
    assert rows.update(salt=None, value=None)


def test_what_was_redacted_is_said_to_be_and_the_rest_is_told(world, hand, calls):
    world.publish(chain("a", "b"), author="mara")
    run_id = world.start("chain", by="mara", inputs={"n": 1}).run_id
    cancel_run(principal=world.principal("mara"), run_id=run_id, reason="changed my mind")
    hand.drive(run_id)

    erase(run_id, "reason")
    told = look(world, run_id)

    assert told.detail.unreadable == ""
    assert told.detail.run.outcome == "cancelled"
    assert [(item.seq, item.names) for item in told.erased] == [(2, ("reason",))]
    assert look(world, run_id, seq=1).erased == ()


def test_where_a_redacted_value_is_needed_the_page_says_so_and_no_value_is_made_up(world, played):
    erase(played, "result")

    told = [look(world, played, seq=seq) for seq in range(1, Run.objects.get(pk=played).seq + 1)]

    shown = [item for item in told if not item.detail.unreadable]
    assert told[0] in shown
    for item in shown:
        assert item.erased == () or any(
            step.outputs.get("result") == {"redacted": True} for step in item.detail.steps
        )
    for item in told:
        if item.detail.unreadable:
            assert "redacted" in item.detail.unreadable
            assert item.detail.steps == ()
            assert item.detail.inputs is None


FLOW = """
schema: flow/v1
kind: dag
name: moving
steps:
  first: {uses: python/call@1, with: {function: t.ok}}
  gate:
    needs: [first]
    wait: {timer: P1D}
"""
LONGER = FLOW + "  last: {needs: [gate], uses: python/call@1, with: {function: t.ok}}\n"


def publish_text(world, source):
    """Publish a text as the next version of `moving`; returns its number."""
    mara = world.principal("mara")
    saved = save_version(principal=mara, project_slug=world.slug, source=source)
    publish_version(principal=mara, project_slug=world.slug, workflow_slug="moving", rev=saved.rev)
    return saved.rev


def test_a_run_that_was_moved_has_the_version_of_the_time(world, hand, calls):
    mara = world.principal("mara")
    rev = publish_text(world, FLOW)
    run_id = world.start("moving", by="mara").run_id
    hand.drive(run_id)
    assert publish_text(world, LONGER) == rev + 1
    before = Run.objects.get(pk=run_id).seq
    migrate_runs(
        principal=mara,
        project_slug=world.slug,
        workflow_slug="moving",
        migration=Migration(from_rev=1, to_rev=2),
        reason="the last step was missing",
    )

    then, now = look(world, run_id, seq=before), look(world, run_id)

    assert (then.detail.run.version_rev, now.detail.run.version_rev) == (1, 2)
    assert [step.step for step in then.detail.steps] == ["first", "gate"]
    assert [step.step for step in now.detail.steps] == ["first", "gate", "last"]
    assert "last" not in then.plan.steps


def test_a_look_takes_as_many_statements_whatever_the_entry(world, played):
    loading.get_rules(version_id=Run.objects.get(pk=played).version_id)

    counts = []
    for seq in (1, 2, Run.objects.get(pk=played).seq):
        with CaptureQueriesContext(connection) as queries:
            look(world, played, seq=seq)
        counts.append(len(queries))

    assert len(set(counts)) == 1
    assert counts[0] <= 12

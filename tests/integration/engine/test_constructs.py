"""Definitions with every construct, from their text to the end of their runs, on a real database.

What each construct means is tested on the decider alone; here it is that its effects happen, once,
and that others find what they need to move the run on.
"""

import time
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection

from countersign import function
from engine import loading
from engine.driver import DriveEnd
from engine.models import Delivery, Inbox, Run, Wait
from engine.services.runs import cancel_run
from tests.integration.engine.field import Field, error_of, made_by, newest_run, outcome
from tests.world import World, fold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def field():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    return Field(world)


def test_an_event_that_is_sent_ends_the_wait_of_another_run(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: waits
        steps:
          hear: {wait: {event: {type: thing.done, correlate: {id: "'7'"}}}}
          after:
            needs: [hear]
            uses: python/call@1
            with: {function: t.ok, heard: "${{ steps.hear.outputs.result.data.n }}"}
        outputs: {n: "steps.hear.outputs.result.data.n"}
        """
    )
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: sends
        steps:
          tell: {emit: {type: thing.done, data: {id: "7", n: 42}}}
        """
    )
    waits = field.start("waits")
    assert outcome(waits) == "WAITING"

    assert outcome(field.start("sends")) == "succeeded"

    assert outcome(waits) == "succeeded"
    assert made_by(waits) == {"n": 42}
    assert not Wait.objects.exists()
    assert not Delivery.objects.exists()


def test_an_event_that_came_before_the_wait_is_kept(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: late
        steps:
          pause: {wait: {timer: PT1S}}
          hear:
            needs: [pause]
            wait: {event: {type: early, correlate: {run: "run.id"}}}
        """
    )
    run = field.start("late")
    assert outcome(run) == "WAITING"

    field.send("early", run=str(run.pk))
    assert outcome(run) == "WAITING"
    time.sleep(1.1)
    field.settle()

    assert outcome(run) == "succeeded"


def test_the_losers_of_a_race_are_taken_back(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: race
        steps:
          ack:
            race:
              - {id: acked, wait: {event: {type: acked, correlate: {run: "run.id"}}}}
              - {id: cleared, wait: {event: {type: cleared, correlate: {run: "run.id"}}}}
              - {id: nobody, wait: {timer: PT15M}}
        outputs: {winner: "steps.ack.outputs.winner", who: "steps.ack.outputs.event.who"}
        """
    )
    run = field.start("race")
    assert Wait.objects.count() == 2

    field.send("cleared", run=str(run.pk), who="ada")

    assert outcome(run) == "succeeded"
    assert made_by(run) == {"winner": "cleared", "who": "ada"}
    assert not Wait.objects.exists()


def test_a_run_calls_another_and_reads_what_it_made(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: child
        inputs: {type: object, properties: {n: {type: integer}}, required: [n]}
        steps:
          work: {uses: python/call@1, with: {function: t.ok, n: "${{ inputs.n + 1 }}"}}
        outputs: {n: "steps.work.outputs.result.n"}
        """
    )
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: parent
        steps:
          ask: {call: "child@^1", with: {n: 1}}
          again: {needs: [ask], call: "child@^1", with: {n: "${{ steps.ask.outputs.result.n }}"}}
        outputs: {n: "steps.again.outputs.result.n"}
        """
    )

    run = field.start("parent")

    assert outcome(run) == "succeeded"
    assert made_by(run) == {"n": 3}
    assert Run.objects.filter(parent_id=run.pk, parent_reported=True).count() == 2


def test_a_call_that_is_refused_fails_its_step(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: child
        inputs: {type: object, properties: {n: {type: integer}}, required: [n]}
        steps: {work: {uses: python/call@1, with: {function: t.ok}}}
        """
    )
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: parent
        steps:
          ask: {call: "child@^1", with: {n: "many"}}
        """
    )

    run = field.start("parent")

    assert outcome(run) == "failed"
    assert error_of(run, "ask#1") == "invalid"
    assert not Run.objects.filter(parent_id=run.pk).exists()


def test_cancelling_a_run_cancels_what_it_called(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: child
        steps: {pause: {wait: {timer: P1D}}}
        """
    )
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: parent
        steps: {ask: {call: "child@^1"}}
        """
    )
    run = field.start("parent")

    cancel_run(principal=field.world.principal("mara"), run_id=run.pk, reason="enough")
    field.settle()

    assert outcome(run) == "cancelled"
    assert outcome(Run.objects.get(parent_id=run.pk)) == "cancelled"


def test_a_workflow_that_calls_itself_stops_at_a_depth(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: down
        inputs: {type: object, properties: {n: {type: integer}}, required: [n]}
        steps:
          deeper: {if: "inputs.n > 0", call: "down@^1", with: {n: "${{ inputs.n + 1 }}"}}
        """
    )
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: down
        inputs: {type: object, properties: {n: {type: integer}}, required: [n]}
        steps:
          deeper: {if: "inputs.n > 0", call: "down@^1", with: {n: "${{ inputs.n + 1 }}"}}
        """
    )

    run = field.start("down", n=1)

    assert outcome(run) == "failed"
    deepest = newest_run()
    assert Run.objects.count() == 10
    assert error_of(deepest, "deeper#1") == "too-deep"


def test_items_are_mapped_and_their_results_come_in_order(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: mapped
        inputs: {type: object, properties: {hosts: {type: array}}}
        steps:
          look:
            map: {items: "inputs.hosts", as: host, max-concurrency: 3}
            uses: python/call@1
            with: {function: t.ok, host: "${{ host }}"}
            outputs: {name: "result.host"}
        outputs: {names: "steps.look.outputs.items"}
        """
    )

    hosts = [f"h{n}" for n in range(20)]
    run = field.start("mapped", hosts=hosts)

    assert outcome(run) == "succeeded"
    assert made_by(run) == {"names": [{"name": host} for host in hosts]}
    assert len(calls) == 20


def test_a_machine_goes_round_and_ends(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: states
        name: review
        vars: {round: 0}
        initial: draft
        states:
          draft:
            wait: {event: {type: submitted, correlate: {run: "run.id"}}}
            transitions:
              - {event: submitted, to: check, set: {round: "vars.round + 1"}}
          check:
            uses: python/call@1
            with: {function: t.ok, round: "${{ vars.round }}"}
            outputs: {round: "result.round"}
            transitions:
              - {on-success: true, if: "vars.round < 3", to: draft}
              - {on-success: true, to: done}
            events:
              - {event: withdrawn, correlate: {run: "run.id"}, to: gone}
          done: {final: true, result: succeeded}
          gone: {final: true, result: cancelled}
        outputs: {round: "vars.round"}
        """
    )
    run = field.start("review")

    for _ in range(3):
        field.send("submitted", run=str(run.pk))

    assert outcome(run) == "succeeded"
    assert made_by(run) == {"round": 3}
    assert not Wait.objects.exists()
    assert Inbox.objects.count() == 3


def test_a_machine_continues_as_a_new_run(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: states
        name: long
        vars: {count: 0}
        initial: idle
        states:
          idle:
            wait: {event: {type: tick, correlate: {key: "'x'"}}}
            transitions:
              - {event: tick, if: "vars.count >= 2", to: done}
              - {event: tick, to: idle, set: {count: "vars.count + 1"}, continue-as-new: true}
          done: {final: true, result: succeeded}
        outputs: {count: "vars.count"}
        """
    )
    first = field.start("long")

    for _ in range(3):
        field.send("tick", key="x")

    assert outcome(first) == "continued"
    last = newest_run()
    assert Run.objects.count() == 3
    assert outcome(last) == "succeeded"
    assert made_by(last) == {"count": 2}


def test_lazy_steps_are_written_together(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: lazy
        steps:
          a: {uses: python/call@1, with: {function: t.ok}, lazy: true}
          b: {needs: [a], uses: python/call@1, with: {function: t.ok}, lazy: true}
          c: {needs: [b], uses: python/call@1, with: {function: t.ok}, lazy: true}
          d: {needs: [c], uses: python/call@1, with: {function: t.ok}, lazy: true}
        """
    )
    field.start("lazy")
    run_id = field.world.start("lazy", by="mara").run_id
    calls.clear()

    counted = Count()
    with connection.execute_wrapper(counted):
        assert field.hand.drive(run_id) is DriveEnd.CLOSED

    assert len(calls) == 4
    assert counted.appends == 2  # the claim, and everything else
    assert fold(run_id).closed


class Count:
    """Counts appends to a run."""

    def __init__(self) -> None:
        self.appends = 0

    def __call__(self, execute, sql, params, many, context):
        self.appends += "UPDATE engine_run SET" in sql
        return execute(sql, params, many, context)


def test_what_lazy_steps_did_is_not_lost_if_somebody_appended_meanwhile(field, calls):
    field.publish(
        """
        schema: flow/v1
        kind: dag
        name: lazy
        steps:
          a: {uses: python/call@1, with: {function: t.ok}, lazy: true}
          b: {needs: [a], uses: python/call@1, with: {function: t.meddle}, lazy: true}
          c: {needs: [b], uses: python/call@1, with: {function: t.ok}}
        """
    )
    run_id = field.world.start("lazy", by="mara").run_id
    mara = field.world.principal("mara")
    MEDDLE.append(partial(cancel_run, principal=mara, run_id=run_id, reason="meddled"))

    field.hand.drive(run_id)

    assert MEDDLE == []
    assert outcome(Run.objects.get(pk=run_id)) == "cancelled"
    assert [name for name, _, _ in calls].count("ok") == 2  # `a` twice, and `c` never
    assert fold(run_id).closed


MEDDLE: list[Callable[[], None]] = []


@function("t.meddle")
def _meddle(**_):
    """Do something to the run, once, while a step of it executes."""
    if MEDDLE:
        MEDDLE.pop()()
    return {}

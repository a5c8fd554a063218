"""Circuits over a real database. The rules themselves: tests/unit/engine/test_circuit.py."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.kernel import ids
from engine.domain.circuit import CircuitRule
from engine.gates import circuit
from engine.models import Circuit
from tests.integration.engine.threads import at_once
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)

RULE = CircuitRule(failures=3, window_seconds=60.0, cooldown_seconds=30.0)


@pytest.fixture
def project():
    return World().project


def ask(project, run_id, rule=RULE):
    return circuit.ask(project_id=project.pk, name="api", rule=rule, run_id=run_id, key="s#1")


def note(project, run_id, *, succeeded=False, rule=RULE):
    circuit.note(
        project_id=project.pk,
        name="api",
        rule=rule,
        run_id=run_id,
        key="s#1",
        succeeded=succeeded,
    )


def cool_down():
    """Let the time of an open circuit pass."""
    row = Circuit.objects.get()
    row.state["open_until"] = "2020-01-01T00:00:00+00:00"
    Circuit.objects.update(state=row.state)


def test_a_target_that_is_well_costs_one_read_and_no_row(project):
    run_id = ids.uuid7()
    with CaptureQueriesContext(connection) as queries:
        assert ask(project, run_id).may_begin
        note(project, run_id, succeeded=True)

    assert len(queries) == 2
    assert not Circuit.objects.exists()


def test_it_opens_for_everybody_and_one_probe_closes_it(project):
    a, b = ids.uuid7(), ids.uuid7()
    for _ in range(3):
        note(project, a)
    assert not ask(project, b).may_begin

    cool_down()
    assert ask(project, b).is_probe
    assert ask(project, b).is_probe
    assert not ask(project, a).may_begin
    note(project, b, succeeded=True)

    assert ask(project, a).may_begin
    assert not Circuit.objects.exists()


def test_failures_at_once_are_all_counted(project):
    run_ids = [ids.uuid7() for _ in range(6)]
    rule = CircuitRule(failures=6, window_seconds=60.0, cooldown_seconds=30.0)

    at_once(*[lambda run_id=run_id: note(project, run_id, rule=rule) for run_id in run_ids])

    assert not ask(project, ids.uuid7(), rule).may_begin


def test_of_many_who_ask_at_once_one_probes(project):
    for _ in range(3):
        note(project, ids.uuid7())
    cool_down()

    answers = at_once(*[lambda: ask(project, ids.uuid7())] * 6)

    assert sorted(answer.may_begin for answer in answers) == [False] * 5 + [True]


def test_a_circuit_that_says_nothing_any_more_is_swept(project):
    note(project, ids.uuid7())
    assert circuit.sweep_circuits() == 0
    Circuit.objects.update(idle_at="2020-01-01T00:00Z")

    assert circuit.sweep_circuits() == 1

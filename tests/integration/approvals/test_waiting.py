"""What the pages of runs are told about steps that wait for people."""

from approvals.selectors.waiting import count_open_by_run, count_open_by_workflow, list_panels
from core.kernel.record import Via
from engine.models import Run
from tests.integration.approvals.conftest import stage


def panel(office, request, name):
    principal = office.principal(name, via=Via.PORTAL)
    return list_panels(
        principal=principal, run_id=request.run_id, keys=["approve#1", "other#1"]
    ).get("approve#1")


def test_a_panel_says_who_voted_what_is_missing_and_whether_it_is_mine(office):
    request = office.open(stage("peer", groups=["board"], count=2), title="Deploy")
    office.decide(request, "bob")

    for_ann, for_bob = (panel(office, request, name) for name in ("ann", "bob"))

    assert (for_ann.is_mine, for_bob.is_mine) == (True, False)
    assert (for_ann.given_count, for_ann.needed_count) == (1, 2)
    assert [(item.name, item.status) for item in for_ann.people] == [("Bob", "approved")]
    assert for_ann.address == f"/inbox/{request.pk}/"
    assert for_ann.due_at == request.expires_at
    assert for_ann.consequence == "then it counts as rejected"
    assert for_ann.note == "Asked: the group board."


def test_a_closed_request_has_no_deadline_and_is_nobodys(office):
    request = office.open()
    office.decide(request, "bob", decision="reject")

    found = panel(office, request, "ann")

    assert (found.is_mine, found.due_at, found.note) == (False, None, "")
    assert [item.line.split()[0] for item in found.people] == ["Rejected"]


def test_strangers_are_told_nothing(office):
    request = office.open()
    office.user("eve")
    workflow_id = Run.objects.get(pk=request.run_id).workflow_id

    eve = office.principal("eve")
    assert panel(office, request, "eve") is None
    assert count_open_by_run(principal=eve, run_ids=[request.run_id]) == {}
    assert count_open_by_workflow(principal=eve, workflow_ids=[workflow_id]) == {}


def test_open_requests_are_counted_by_run_and_by_workflow(office):
    request, other = office.open(), office.open()
    office.decide(other, "ann")
    workflows = [Run.objects.get(pk=item.run_id).workflow_id for item in (request, other)]

    mara = office.principal("mara")
    assert count_open_by_run(principal=mara, run_ids=[request.run_id, other.run_id]) == {
        request.run_id: 1
    }
    assert count_open_by_workflow(principal=mara, workflow_ids=workflows) == {workflows[0]: 1}


def test_many_steps_cost_what_one_costs(office, django_assert_max_num_queries):
    request = office.open()
    principal = office.principal("ann")

    keys = ["approve#1", *(f"s{number}" for number in range(100))]
    with django_assert_max_num_queries(15):
        list_panels(principal=principal, run_id=request.run_id, keys=keys)

"""What people see: the inbox, one request, and why."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.domain.errors import RequestMissingError
from approvals.selectors.explaining import explain
from approvals.selectors.requests import (
    RequestFilters,
    View,
    count_mine,
    get_request,
    list_requests,
)
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role, revoke_assignment
from core.kernel import ids
from core.kernel.record import ActorKind
from tests.integration.approvals.conftest import PEER, stage
from tests.world import World


def inbox(office, who, view=View.MINE, **options):
    principal = office.principal(who) if isinstance(who, str) else who
    rows = list_requests(principal=principal, view=view, **{"limit": 50, **options})
    return [row.number for row in rows]


def numbers(*requests):
    return [request.number for request in requests]


# --- the inbox -----------------------------------------------------------------------------------


def test_the_inbox_holds_what_i_can_decide_now_newest_first(office):
    first, second = office.open(), office.open()

    assert inbox(office, "ann") == numbers(second, first)
    assert inbox(office, "mara") == []
    office.decide(second, "bob")
    assert inbox(office, "ann") == numbers(first)


def test_what_i_decided_leaves_my_inbox_and_stays_in_that_of_others(office):
    request = office.open(stage("peer", groups=["board"], count=2))

    office.decide(request, "ann")

    assert inbox(office, "ann") == []
    assert inbox(office, "bob") == numbers(request)


def test_a_request_enters_the_next_stages_inbox_when_it_opens(office):
    office.user("dan", "approver", groups=("directors",))
    request = office.open(PEER, stage("board", groups=["directors"]))
    assert inbox(office, "dan") == []

    office.decide(request, "ann")

    assert inbox(office, "dan") == numbers(request)
    assert inbox(office, "bob") == []


def test_membership_and_roles_act_at_once(office):
    request = office.open()
    office.leave("ann")
    office.user("eve", "approver", groups=("board",))
    assignment = office.users["bob"].assignments.get()
    revoke_assignment(principal=office.system, assignment_id=assignment.pk)

    assert inbox(office, "ann") == []
    assert inbox(office, "bob") == []
    assert inbox(office, "eve") == numbers(request)


def test_who_asked_and_excluded_people_have_it_not_in_their_inbox(office):
    office.enroll("mara")
    request = office.open(PEER, stage("two", groups=["board"]), exclude=["earlier-deciders"])
    assert inbox(office, "mara") == []

    office.decide(request, "ann")

    assert inbox(office, "ann") == []
    assert inbox(office, "bob") == numbers(request)


def test_another_account_of_a_voter_has_it_not_in_its_inbox(office):
    office.second_account("ann2", of="ann")
    request = office.open(stage("peer", groups=["board"], count=2))
    assert inbox(office, "ann2") == numbers(request)

    office.decide(request, "ann")

    assert inbox(office, "ann2") == []


def test_a_newcomer_whom_an_expression_excludes_has_a_full_page_of_the_rest(office):
    kept = [office.open() for _ in range(2)]
    for _ in range(3):
        office.open(exclude=["user.username == 'eve'"])
    office.user("eve", "approver", groups=("board",))

    assert inbox(office, "eve", limit=2) == numbers(kept[1], kept[0])
    assert inbox(office, "eve") == numbers(kept[1], kept[0])
    assert count_mine(principal=office.principal("eve")) == 2


def test_a_page_is_filled_past_many_requests_that_exclude_me(office):
    office.enroll("mara")
    office.user("nora", "requester")
    request = office.open(by="nora")
    for _ in range(5):
        office.open()

    assert inbox(office, "mara", limit=1) == numbers(request)


def test_an_overdue_request_is_in_no_inbox(office):
    request = office.open()
    office.overdue(request)

    assert inbox(office, "ann") == []


def test_software_has_an_empty_inbox(office):
    machine = office.machine("robot", ActorKind.SERVICE, owner="ann")
    office.open()

    assert inbox(office, machine) == []
    assert count_mine(principal=machine) == 0


def test_pages_follow_a_cursor_without_gaps(office):
    requests = [office.open() for _ in range(5)]
    principal = office.principal("ann")

    first = list_requests(principal=principal, view=View.MINE, limit=2)
    second = list_requests(principal=principal, view=View.MINE, limit=9, after=first[-1].id)

    assert [row.number for row in [*first, *second]] == numbers(*reversed(requests))


def test_all_and_decided_hold_what_i_may_see(office):
    other = World(slug="other")
    other.user("zoe", "viewer")
    decided, waiting = office.open(), office.open()
    office.decide(decided, "ann")

    assert inbox(office, "mara", View.ALL) == numbers(waiting, decided)
    assert inbox(office, "mara", View.DECIDED) == numbers(decided)
    assert inbox(office, other.principal("zoe"), View.ALL) == []


def test_who_holds_a_role_everywhere_sees_and_decides_everywhere(office):
    office.user("gil", groups=("board",))
    assign_role(
        principal=office.system,
        role="approver",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=office.users["gil"].pk,
    )
    request = office.open()

    assert inbox(office, "gil") == inbox(office, "gil", View.ALL) == numbers(request)


def test_lists_can_be_narrowed(office):
    office.user("nora", "requester")
    risky = office.open(kind="payment", risk="high")
    other = office.open(by="nora")

    def narrowed(**filters):
        return inbox(office, "ann", View.ALL, filters=RequestFilters(**filters))

    assert narrowed(kind="payment") == numbers(risky)
    assert narrowed(risk="medium") == numbers(other)
    assert narrowed(requester="nora") == numbers(other)
    assert narrowed(workflow_slug="flow1") == numbers(risky)
    assert narrowed(run_id=other.run_id) == numbers(other)
    assert narrowed(project_slug="acme", status="open") == numbers(other, risky)
    assert narrowed(project_slug="nowhere") == []


def test_a_page_costs_the_same_however_many_requests_there_are(office):
    principal = office.principal("ann")
    office.decide(office.open(), "bob")
    costs = {}
    for view in View:
        office.open()
        counts = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                list_requests(principal=principal, view=view, limit=50)
            counts.append(len(queries))
            office.open(stage("peer", groups=["board"], count=2))
        assert counts[0] == counts[1]
        costs[view] = counts[0]

    assert costs[View.MINE] <= 10
    assert max(costs[View.ALL], costs[View.DECIDED]) <= 4


# --- one request ---------------------------------------------------------------------------------


def test_one_request_shows_what_a_decision_needs(office):
    request = office.open(
        stage("peer", groups=["board"], count=2),
        stage("two", users=["ann"], when="false"),
        title="Release ${{ inputs.ref }}",
        subject={"ref": "inputs.ref"},
        amount={"value": "inputs.cents", "currency": "EUR"},
        confirm="I checked",
        form={"type": "object"},
        exclude=["version-authors"],
        inputs={"ref": "v1", "cents": 250},
    )
    office.decide(request, "ann", confirmed=True, comment="fine")

    detail = get_request(principal=office.principal("mara"), request_id=request.pk)

    request.refresh_from_db()
    assert detail.digest_hex == bytes(request.shown_digest).hex()
    assert (detail.subject, detail.form_values) == ({"ref": "v1"}, {})
    summary = detail.summary
    assert (summary.title, summary.stage) == ("Release v1", "peer")
    assert (summary.approval_count, summary.needed_count) == (1, 2)
    assert (summary.amount_value, summary.amount_currency) == (250, "EUR")
    assert [(item.key, item.status) for item in detail.stages] == [
        ("peer", "open"),
        ("two", "skipped"),
    ]
    [vote] = detail.votes
    assert (vote.name, vote.username, vote.decision, vote.comment) == (
        "Ann",
        "ann",
        "approve",
        "fine",
    )
    assert detail.rule_words[0].startswith("The stage 'peer' needs 2 approvals of the group board")
    assert detail.confirm == "I checked"
    assert detail.is_four_eyes


def test_a_closed_request_shows_how_it_ended(office):
    request = office.open()
    office.decide(request, "ann")

    detail = get_request(principal=office.principal("ann"), request_id=request.pk)

    summary = detail.summary
    assert (summary.status, summary.outcome, summary.closed_by_name) == (
        "closed",
        "approved",
        "Ann",
    )
    assert (summary.stage, summary.needed_count) == (None, 0)


def test_who_may_not_see_a_request_does_not_find_it(office):
    office.user("eve")
    request = office.open()

    for principal, request_id in (
        (office.principal("eve"), request.pk),
        (office.principal("ann"), ids.uuid7()),
    ):
        with pytest.raises(RequestMissingError):
            get_request(principal=principal, request_id=request_id)
        with pytest.raises(RequestMissingError):
            explain(principal=principal, request_id=request_id)


# --- why -----------------------------------------------------------------------------------------


def why(office, who, request):
    principal = office.principal(who) if isinstance(who, str) else who
    return explain(principal=principal, request_id=request.pk)


def test_an_approver_is_told_what_lets_them_decide_and_who_else_may(office):
    request = office.open(stage("peer", groups=["board"], count=2))
    office.decide(request, "bob")

    answer = why(office, "ann", request)

    assert answer.is_eligible
    assert "approver in the project" in answer.reason
    assert all(fact.holds for fact in answer.facts)
    assert [item.username for item in answer.deciders] == ["ann", "cid"]
    assert not answer.is_blocked


@pytest.mark.parametrize(
    ("who", "rule"),
    [("mara", "permission"), ("otto", "approver"), ("eve", "permission"), ("bob", "decided")],
)
def test_others_are_told_which_rule_stands_in_the_way(office, who, rule):
    office.user("eve", "viewer", groups=("board",))
    request = office.open(stage("peer", groups=["board"], count=2))
    office.decide(request, "bob")

    answer = why(office, who, request)

    assert not answer.is_eligible
    failing = {fact.rule: fact.sentence for fact in answer.facts if not fact.holds}
    assert rule in failing
    assert answer.reason in failing.values()


def test_an_explanation_shows_every_exclusion_that_hits(office):
    office.enroll("mara")
    request = office.open(exclude=["user.username == 'mara'"])

    answer = why(office, "mara", request)

    failing = {fact.rule for fact in answer.facts if not fact.holds}
    assert failing == {"initiator", "expression"}


def test_nobody_is_eligible_for_what_is_closed_or_blocked(office):
    closed = office.open()
    office.decide(closed, "ann")
    skipped = office.open(stage("peer", groups=["board"], when="false"))
    empty = office.open(stage("peer", groups=["ghosts"]))

    assert not why(office, "bob", closed).is_eligible
    assert why(office, "bob", closed).deciders == ()
    assert why(office, "bob", skipped).is_blocked
    assert why(office, "bob", empty).is_blocked
    notes = get_request(principal=office.principal("bob"), request_id=empty.pk).notes
    assert notes == ("The stage 'peer' names 'ghosts': there is no group of that name.",)


def test_an_explanation_agrees_with_deciding_and_costs_a_bounded_number_of_queries(office):
    request = office.open(exclude=["user.username == 'x'"])
    principal = office.principal("ann")

    with CaptureQueriesContext(connection) as queries:
        answer = explain(principal=principal, request_id=request.pk)

    assert len(queries) <= 21
    assert answer.is_eligible
    assert office.decide(request, "ann").outcome == "approved"


def test_an_agent_is_told_that_only_people_decide(office):
    machine = office.machine("robot", ActorKind.AGENT, owner="bob")

    answer = why(office, machine, office.open())

    assert not answer.is_eligible
    assert "person" in {fact.rule for fact in answer.facts if not fact.holds}

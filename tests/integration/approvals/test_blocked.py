"""Too few people block a request; it never passes by itself."""

from tests.integration.approvals.conftest import PEER, kinds, refused, stage


def test_an_empty_group_blocks_and_never_passes(office):
    office.group("empty")
    office.user("adam", "project_admin")
    request = office.open(stage("peer", groups=["empty"]))

    assert request.blocked
    assert kinds(request) == ["request.opened", "request.blocked"]
    told = request.notices.filter(event="request.blocked")
    assert set(told.values_list("recipient__username", flat=True)) == {"mara", "adam"}
    office.user("eve", "approver", groups=("empty",))
    assert office.decide(request, "eve").outcome == "approved"


def test_a_group_that_does_not_exist_blocks_and_is_noted(office):
    request = office.open(stage("peer", groups=["ghosts"]), stage("two", users=["ghost"]))

    assert request.blocked
    assert [note["name"] for note in request.notes] == ["ghosts", "ghost"]


def test_a_group_made_later_under_the_same_name_is_not_meant(office):
    request = office.open(stage("peer", groups=["later"]))
    office.user("eve", "approver", groups=("later",))

    assert "not among the approvers" in refused(office, request, "eve")


def test_a_request_whose_stages_are_all_skipped_is_blocked(office):
    request = office.open(stage("peer", groups=["board"], when="false"))

    assert request.blocked
    assert "No stage" in refused(office, request, "ann")


def test_too_few_people_after_exclusions_block(office):
    for name in ("bob", "cid"):
        office.leave(name)
    request = office.open(exclude=["user.username == 'ann'"])

    assert request.blocked


def test_people_who_leave_block_a_stage_at_the_next_vote(office):
    request = office.open(stage("peer", groups=["board"], count=3))
    assert not request.blocked
    office.leave("cid")

    office.decide(request, "ann")

    request.refresh_from_db()
    assert request.blocked
    assert kinds(request)[-1] == "request.blocked"
    office.join("cid")
    office.decide(request, "bob")
    request.refresh_from_db()
    assert not request.blocked
    assert office.decide(request, "cid").outcome == "approved"


def test_the_next_stage_is_blocked_when_it_opens_without_people(office):
    office.group("empty")
    request = office.open(PEER, stage("two", groups=["empty"]))

    result = office.decide(request, "ann")

    assert result.status == "open"
    request.refresh_from_db()
    assert request.blocked


def test_rejections_that_leave_too_few_votes_reject_at_once(office):
    request = office.open(stage("peer", groups=["board"], count=3, reject=2))

    assert office.decide(request, "ann", "reject").outcome == "rejected"

"""What the page of a run says of approvals as they stood then."""

from datetime import timedelta

from approvals.models import Request, Vote
from approvals.selectors.waiting import list_past_panels


def panels(town, run_id, at, who="vera"):
    return list_past_panels(principal=town.principal(who), run_id=run_id, keys=["approve#1"], at=at)


def test_an_approval_is_told_as_it_stood(town):
    request = town.request()
    town.decide(request, "ann")
    opened, vote = Request.objects.get(pk=request.pk).opened_at, Vote.objects.get()

    before = panels(town, request.run_id, opened)["approve#1"]
    after = panels(town, request.run_id, vote.cast_at)["approve#1"]

    assert (before.people, before.given_count) == ((), 0)
    assert before.due_at == request.expires_at
    assert [(item.name, item.status) for item in after.people] == [("Ann", "approved")]
    assert (after.given_count, after.due_at) == (1, None)
    assert not before.is_mine
    assert not after.is_mine


def test_before_it_was_opened_there_is_none_and_strangers_see_none(town):
    request = town.request()

    early = request.opened_at - timedelta(microseconds=1)

    assert panels(town, request.run_id, early) == {}
    assert panels(town, request.run_id, request.opened_at, who="stan") == {}

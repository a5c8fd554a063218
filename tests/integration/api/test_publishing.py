"""Publishing says where too few people could decide today, and publishes all the same."""

import pytest

from core.identity.services.groups import add_member

FLOW = """\
schema: flow/v1
kind: dag
name: release
title: Release
steps:
  approve:
    approval:
      title: Release it
      stages:
        - id: peer
          approvers: {groups: [board]}
          quorum: {count: 3}
        - id: owner
          when: "true"
          approvers: {any-of: [{users: [ghost]}, {groups: [empty]}]}
        - id: anybody
          approvers: {permission: decide_request}
      expires: {after: PT1H, then: reject}
"""


@pytest.fixture
def publish(town):
    """Return a way to publish the flow, which has been saved."""
    town.group("empty")
    assert town.as_("otto").post("workflows/acme/", {"source": FLOW}).status_code == 201
    return lambda: town.as_("otto").post("workflows/acme/release/versions/1/publish/")


def test_a_stage_without_enough_people_is_warned_of_at_its_place(publish):
    answer = publish()

    assert (answer.status_code, answer.json()["status"]) == (200, "published")
    (warning,) = answer.json()["warnings"]
    assert warning["path"] == "/steps/approve/approval/stages/1"
    assert (warning["code"], warning["severity"]) == ("approvals.block.too_few_people", "warning")
    assert "'owner' needs 1 to approve, and 0 may decide" in warning["message"]
    assert "'ghost': there is no active account of that name" in warning["message"]


def test_people_who_come_and_go_change_what_is_warned_of(town, publish):
    assert len(publish().json()["warnings"]) == 1
    town.user("eve", "approver", groups=("empty",))
    add_member(
        principal=town.system, group_id=town.group("empty").pk, user_id=town.users["vera"].pk
    )

    assert publish().json()["warnings"] == []


def test_being_in_the_group_without_the_permission_does_not_count(town, publish):
    add_member(
        principal=town.system, group_id=town.group("empty").pk, user_id=town.users["vera"].pk
    )

    assert len(publish().json()["warnings"]) == 1


def test_a_version_that_is_only_read_has_no_warnings(town, publish):
    publish()

    version = town.as_("vera").get("workflows/acme/release/versions/1/").json()

    assert "warnings" not in version


def test_open_runs_of_other_versions_are_tried_and_counted(town, publish):
    publish()
    assert town.as_("mara").post("workflows/acme/release/runs/", {"inputs": {}}).status_code == 201
    changed = FLOW.replace("count: 3", "count: 2")
    assert town.as_("otto").post("workflows/acme/", {"source": changed}).status_code == 201

    note = town.as_("otto").post("workflows/acme/release/versions/2/publish/").json()["replay"]

    # Nothing was asked of anybody yet, so nothing on record would be different.
    assert note == {"open_count": 1, "replayed_count": 1, "diverging_count": 0, "first": None}


def test_what_publishing_says_can_be_asked_before_and_after(town, publish):
    before = town.as_("otto").get("workflows/acme/release/versions/1/preview/")
    published = publish().json()
    after = town.as_("otto").get("workflows/acme/release/versions/1/preview/")

    assert (before.status_code, after.status_code) == (200, 200)
    assert before.json() == after.json()
    assert after.json() == {name: published[name] for name in ("warnings", "replay")}


def test_who_may_not_publish_may_not_ask_what_it_would_say(town, publish, problem):
    def preview(who, rev):
        return town.as_(who).get(f"workflows/acme/release/versions/{rev}/preview/")

    problem(preview("vera", 1), 403, "identity.forbidden")
    problem(preview("otto", 9), 404, "engine.version_missing")

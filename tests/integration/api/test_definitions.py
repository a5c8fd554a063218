"""Saving, checking and publishing definitions over HTTP."""

from uuid import UUID

import pytest

from approvals.verbs import ApprovalVerb
from core.identity.services.roles import assign_role
from core.kernel import limits
from engine import registry
from engine.models import Version, Workflow

GOOD = """\
schema: flow/v1
kind: dag
name: release
title: Release
inputs:
  type: object
  properties:
    environment: {type: string, enum: [staging, production]}
  required: [environment]
  additionalProperties: false
triggers: [{manual: {}}, {api: {}}]
steps:
  approve:
    approval:
      title: Release it
      kind: deploy
      risk: high
      stages:
        - id: board
          approvers: {groups: [board]}
      expires: {after: PT1H, then: reject}
"""


@pytest.fixture
def otto(town):
    return town.as_("otto")


def _save(caller, source, **body):
    return caller.post("workflows/acme/", {"source": source, **body})


def test_a_definition_becomes_a_draft_and_is_published(town, otto):
    saved = _save(otto, GOOD, message="First.")

    assert saved.status_code == 201, saved.content
    version = saved.json()
    assert (version["workflow"], version["rev"], version["status"]) == ("release", 1, "draft")
    assert (version["author"], version["message"]) == ("otto", "First.")
    published = otto.post("workflows/acme/release/versions/1/publish/")
    assert (published.status_code, published.json()["status"]) == (200, "published")
    assert otto.post("workflows/acme/release/versions/1/publish/").json() == published.json()
    assert town.as_("vera").get("workflows/acme/release/").json()["published_rev"] == 1


def test_a_published_definition_is_read_back_as_it_was_written(town, otto):
    saved = _save(otto, GOOD).json()

    found = town.as_("vera").get("workflows/acme/release/versions/1/").json()

    assert found["source"] == GOOD
    assert found["inputs_schema"]["required"] == ["environment"]
    assert found["plan"]
    assert found["digest"] == saved["digest"]
    assert len(found["digest"]) == len(found["source_digest"]) == 64


def test_the_same_text_again_is_the_same_version(otto):
    first = _save(otto, GOOD).json()

    assert _save(otto, GOOD).json() == first
    assert Version.objects.count() == 1


def test_another_text_is_the_next_version(otto):
    first = _save(otto, GOOD).json()

    second = _save(otto, GOOD + "# a comment changes the text, not what it does\n").json()

    assert second["rev"] == 2
    assert second["digest"] == first["digest"]
    assert second["source_digest"] != first["source_digest"]
    revs = [item["rev"] for item in otto.get("workflows/acme/release/versions/").json()["items"]]
    assert revs == [2, 1]


def test_a_draft_does_not_run(town, otto, problem):
    _save(otto, GOOD)
    body = {"inputs": {"environment": "staging"}}

    response = town.as_("mara").post("workflows/acme/release/runs/", body)

    problem(response, 409, "engine.nothing_published")


@pytest.mark.parametrize(
    ("old", "new", "path", "line"),
    [
        ("kind: dag", "kind: [dag", "", 3),
        ("title: Release\n", "title: Release\n  bad: indent\n", "", 5),
        ("name: release", "name: release\nname: again", "/name", 4),
        (
            "groups: [board]",
            "groups: board",
            "/steps/approve/approval/stages/0/approvers/groups",
            20,
        ),
        ("    approval:\n", "    uses: no/such@1\n    approval:\n", "/steps/approve", 13),
        ("    approval:\n", "    needs: [approve]\n    approval:\n", "/steps/approve", 14),
        ("    approval:\n", "    needs: [nobody]\n    approval:\n", "/steps/approve/needs", 14),
        ("risk: high", "rsik: high", "/steps/approve/approval/rsik", 17),
        ("PT1H", "one hour", "/steps/approve/approval/expires", 21),
    ],
)
def test_what_is_wrong_is_told_with_path_line_and_column(otto, problem, old, new, path, line):
    assert old in GOOD

    body = problem(_save(otto, GOOD.replace(old, new, 1)), 422, "engine.definition_invalid")

    errors = [item for item in body["errors"] if item["severity"] == "error"]
    assert errors
    assert any(
        item["path"].startswith(path) and item["line"] == line and item["column"] >= 1
        for item in errors
    ), errors
    assert not Workflow.objects.exists()


def test_steps_that_need_each_other_are_refused(otto, problem):
    source = GOOD.replace("  approve:\n", "  approve:\n    needs: [second]\n") + (
        "  second:\n    needs: [approve]\n    uses: http/request@1\n"
        "    with: {method: GET, url: 'https://example.org/'}\n"
    )

    body = problem(_save(otto, source), 422, "engine.definition_invalid")

    assert any("approve" in item["message"] for item in body["errors"])


def test_checking_saves_nothing_and_answers_in_full(town, otto):
    wrong = otto.post("lint/", {"source": GOOD.replace("risk: high", "rsik: high")}).json()
    right = otto.post("lint/", {"source": GOOD}).json()

    assert wrong["valid"] is False
    assert [item["line"] for item in wrong["problems"] if item["severity"] == "error"] == [17]
    assert right["valid"] is True
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    "source",
    [
        "",
        "7",
        "[]",
        "a: &a [*a]",
        "!!python/object/apply:os.system [id]",
        "a: " + "[" * 2000,
        "\t: x",
        "\ufeff",
        "x" * (limits.SOURCE_BYTES_MAX),
        "é" * (limits.SOURCE_BYTES_MAX - 10),
    ],
)
def test_hostile_texts_are_refused_quickly(otto, problem, source):
    response = _save(otto, source)

    assert response.status_code in {413, 422}, response.content[:300]
    assert otto.post("lint/", {"source": source}).status_code in {200, 413, 422}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/source"),
        ({"source": 7}, "/source"),
        ({"source": None}, "/source"),
        ({"source": GOOD, "rev": 7}, "/rev"),
        ({"source": GOOD, "message": "x" * 2001}, "/message"),
    ],
)
def test_a_body_of_another_shape_is_refused(otto, problem, body, path):
    found = problem(otto.post("workflows/acme/", body), 422, "api.invalid_input")

    assert [item["path"] for item in found["errors"]] == [path]


class WatchedVerb(ApprovalVerb):
    """The verb `approval`, which remembers how often a definition was compiled with it."""

    check_count = 0

    def check(self, block, *, scope):
        type(self).check_count += 1
        return super().check(block, scope=scope)


@pytest.fixture
def compiled(monkeypatch):
    """Return a way to ask how often the approval of a definition was compiled."""
    monkeypatch.setattr(WatchedVerb, "check_count", 0)
    opener = registry.opener("approval")
    watched = registry.RegisteredVerb(verb=WatchedVerb(), opener=opener)
    monkeypatch.setitem(registry._VERBS, "approval", watched)
    return lambda: WatchedVerb.check_count


def test_nothing_is_compiled_for_whoever_may_edit_nothing(town, compiled, problem):
    problem(_save(town.as_("vera"), GOOD), 403, "identity.forbidden")
    problem(_save(town.as_("stan"), GOOD), 404, "engine.project_missing")
    assert compiled() == 0

    assert _save(town.as_("otto"), GOOD).status_code == 201
    assert compiled() == 1


def test_an_editor_of_one_workflow_saves_that_one_and_no_other(town, otto, problem):
    _save(otto, GOOD)
    scope_id = Workflow.objects.get(slug="release").scope_id
    town.user("edda", "viewer")
    assign_role(
        principal=town.system, role="editor", scope_id=scope_id, user_id=town.users["edda"].pk
    )
    edda = town.as_("edda")

    assert _save(edda, GOOD + "# by edda\n").status_code == 201
    other = GOOD.replace("name: release", "name: other")
    problem(_save(edda, other), 403, "identity.forbidden")


def test_a_project_that_is_not_there_is_missing(otto, problem):
    problem(otto.post("workflows/nowhere/", {"source": GOOD}), 404, "engine.project_missing")


@pytest.mark.parametrize("rev", [2, 0, 2**31, 10**30])
def test_a_version_that_is_not_there_is_missing(otto, problem, rev):
    _save(otto, GOOD)

    problem(otto.get(f"workflows/acme/release/versions/{rev}/"), 404, "engine.version_missing")
    problem(
        otto.post(f"workflows/acme/release/versions/{rev}/publish/"),
        404,
        "engine.version_missing",
    )


def test_the_whole_job_runs_over_http(town, otto):
    _save(otto, GOOD)
    otto.post("workflows/acme/release/versions/1/publish/")
    run = (
        town.as_("mara")
        .post("workflows/acme/release/runs/", {"inputs": {"environment": "production"}})
        .json()
    )
    town.hand.drive(UUID(run["id"]))
    [request] = town.as_("ann").get("requests/").json()["items"]
    shown = town.as_("ann").get(f"requests/{request['id']}/").json()
    decided = town.as_("ann").post(
        f"requests/{request['id']}/decide/", {"decision": "approve", "digest": shown["digest"]}
    )
    town.hand.drive(UUID(run["id"]))

    assert decided.json()["outcome"] == "approved"
    after = town.as_("vera").get(f"runs/{run['id']}/").json()
    assert (after["status"], after["outcome"]) == ("CLOSED", "succeeded")

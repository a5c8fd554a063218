"""Comparing a definition with a version over HTTP."""

import pytest

from engine.models import Version, Workflow
from tests.integration.api.test_definitions import GOOD


@pytest.fixture
def otto(town):
    otto = town.as_("otto")
    assert otto.post("workflows/acme/", {"source": GOOD}).status_code == 201
    return otto


def _diff(caller, source, **body):
    return caller.post("projects/acme/diff/", {"source": source, **body})


def test_a_definition_is_compared_with_the_newest_version(otto):
    answer = _diff(otto, GOOD.replace("PT1H", "PT9H").replace("title: Release\n", "title: Go\n"))

    found = answer.json()
    assert answer.status_code == 200, answer.content
    assert (found["workflow"], found["base_rev"], found["worst"]) == (
        "release",
        1,
        "governance-weakening",
    )
    assert [(item["kind"], item["step"], item["field"]) for item in found["changes"]] == [
        ("cosmetic", "", "title"),
        ("governance-weakening", "approve", "expires.after"),
    ]
    change = found["changes"][1]
    assert (change["before"], change["after"]) == (3600, 32400)


def test_nothing_is_saved(otto):
    _diff(otto, GOOD.replace("PT1H", "PT9H"))
    _diff(otto, GOOD.replace("name: release", "name: other"))

    assert (Workflow.objects.count(), Version.objects.count()) == (1, 1)


def test_the_same_text_and_the_same_meaning_are_told_apart(otto):
    same = _diff(otto, GOOD).json()
    comment = _diff(otto, GOOD + "# why\n").json()

    assert (same["same_source"], same["same_plan"], same["worst"]) == (True, True, None)
    assert (comment["same_source"], comment["same_plan"], comment["changes"]) == (False, True, [])
    version = otto.get("workflows/acme/release/versions/1/").json()
    assert same["digest"] == comment["digest"] == version["digest"]
    assert same["source_digest"] == version["source_digest"]


def test_another_version_can_be_named(otto):
    newer = GOOD.replace("PT1H", "PT9H")
    assert otto.post("workflows/acme/", {"source": newer}).json()["rev"] == 2

    assert _diff(otto, newer).json()["changes"] == []
    assert _diff(otto, newer, rev=1).json()["worst"] == "governance-weakening"
    assert _diff(otto, newer, rev=3).status_code == 404


def test_a_workflow_that_is_not_there_is_new(otto):
    found = _diff(otto, GOOD.replace("name: release", "name: other")).json()

    assert (found["base_rev"], found["changes"], found["same_plan"]) == (None, [], False)


def test_a_definition_with_errors_is_refused_with_their_places(otto, problem):
    answer = _diff(otto, GOOD.replace("groups: [board]", "groups: 3"))

    body = problem(answer, 422, "engine.definition_invalid")
    assert body["errors"][0]["line"] == 20


def test_a_stranger_sees_no_project(town, otto, problem):
    problem(_diff(town.as_("stan"), GOOD), 404, "engine.project_missing")
    assert _diff(town.as_("vera"), GOOD).json()["base_rev"] == 1

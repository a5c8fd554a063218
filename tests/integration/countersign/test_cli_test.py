"""`countersign test`: what it prints, and how it ends."""

import json
import xml.etree.ElementTree as ET

import pytest

from tests.architecture.sources import ROOT

DEFINITION = """schema: flow/v1
kind: dag
name: scan
steps: {a: {uses: x/y@1}}
outputs: {found: steps.a.outputs.result}
"""
CASES = """definition: flow.yaml
results: {a: {result: 1}}
cases:
  it finds one: {expect: {outcome: succeeded, outputs: {found: 1}}}
  it finds two: {expect: {outcome: succeeded, outputs: {found: 2}}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "flow.yaml").write_text(DEFINITION)
    (tmp_path / "flow.test.yaml").write_text(CASES)
    return tmp_path


def test_no_server_is_needed(type_in, folder, monkeypatch, server):
    monkeypatch.delenv("COUNTERSIGN_URL")
    monkeypatch.delenv("COUNTERSIGN_TOKEN")

    assert type_in("test", folder, "--case", "one").exit_code == 0
    assert server.site.received == []


def test_an_expectation_that_does_not_hold_is_shown_with_its_line(type_in, folder):
    result = type_in("test", folder)

    assert result.exit_code == 1
    assert f"ok     {folder}/flow.test.yaml:4 it finds one" in result.stdout
    assert f"FAILED {folder}/flow.test.yaml:5 it finds two" in result.stdout
    assert "outputs.found: expected 2, got 1" in result.stdout
    assert "the steps: a#1 succeeded" in result.stdout
    assert "1 passed, 1 failed" in result.stdout


def test_results_come_as_json_and_as_junit(type_in, folder):
    junit = folder / "junit.xml"

    document = json.loads(type_in("test", folder, "--json", "--junit", junit).stdout)

    assert (document["passed"], document["failed"], document["problems"]) == (1, 1, [])
    assert document["files"][0]["cases"][1] == {
        "name": "it finds two",
        "line": 5,
        "holds": False,
        "failures": ["outputs.found: expected 2, got 1"],
    }
    suite = ET.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite[1][0].text == "outputs.found: expected 2, got 1"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("flow.test.yaml", "definition: [", "flow.test.yaml:1:"),
        ("flow.test.yaml", "definition: no.yaml\nexpect: {outcome: failed}\n", "cannot be read"),
        ("flow.yaml", "schema: flow/v1\nkind: dag\nname: x\nsteps: {}\n", "flow.yaml:4:"),
    ],
)
def test_a_bad_file_is_named_with_its_place(type_in, folder, name, text, said):
    (folder / name).write_text(text)

    result = type_in("test", folder)

    assert result.exit_code == 1
    assert said in result.stdout


def test_nothing_to_test_is_usage(type_in, folder):
    assert type_in("test").exit_code == 2
    assert type_in("test", folder / "nothing.test.yaml").exit_code == 2
    assert type_in("test", folder, "--case", "nowhere").exit_code == 2


def test_the_schema_is_printed_for_editors(type_in):
    assert "definition" in json.loads(type_in("test", "--schema").stdout)["required"]


def test_the_examples_hold(type_in):
    result = type_in("test", ROOT / "examples")

    assert result.exit_code == 0, result.stdout
    assert "0 failed" in result.stdout

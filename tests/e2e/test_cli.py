"""The command line as people type it, against a whole system: processes, HTTP, signals."""

import json
import os
import signal
import subprocess
import sys

import pytest

from examples.demo.cast import PASSWORD
from tests.processes import ROOT, eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

# Words of both files go through JSON, YAML and the terminal.
DEFINITION = """\
schema: flow/v1
kind: dag
name: typed
title: "Typed ${{ inputs.word }}"
inputs:
  type: object
  required: [word]
  properties: {word: {type: string}}
steps:
  ask:
    approval:
      title: "Say “${{ inputs.word }}”?"
      subject: {word: "inputs.word"}
      stages: [{id: one, approvers: {groups: [engineers]}}]
      exclude: [initiator]
      form: {type: object, required: [ticket], properties: {ticket: {type: string}}}
      expires: {after: PT1H, then: reject}
  say:
    needs: [ask]
    uses: transform/cel@1
    with: {expression: "word + '!'", values: {word: "${{ inputs.word }}"}}
outputs: {said: steps.say.outputs.result, ticket: steps.ask.outputs.form.ticket}
"""
CASES = """\
definition: typed.yaml
inputs: {word: grüß}
decisions: {ask: {outcome: approve, form: {ticket: T1}}}
expect: {outcome: succeeded, outputs: {said: "grüß!", ticket: T1}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home of many")


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flows")
    (folder / "typed.yaml").write_text(DEFINITION, encoding="utf-8")
    (folder / "typed.test.yaml").write_text(CASES, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def environment(system, home):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")
    }
    return {
        **kept,
        "XDG_CONFIG_HOME": str(home),
        "COUNTERSIGN_URL": system.url,
        "COUNTERSIGN_PROJECT": "demo",
        "NO_PROXY": "*",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="module")
def type_as(environment):
    """Type a command as one of the demo's people."""

    def enter(who, *args, text=None, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "countersign", *map(str, args), "--profile", who],
            cwd=ROOT,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    return enter


@pytest.fixture(scope="module")
def people(environment):
    """Sign the demo's people in, each into a profile of their own."""
    for who in ("mara", "ada", "pia", "rex"):
        done = subprocess.run(
            [sys.executable, "-m", "countersign", "login", "--name", who, "--user", who],
            cwd=ROOT,
            env=environment,
            input=f"{PASSWORD}\n",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"({who})" in done.stdout


@pytest.fixture(scope="module")
def applied(people, type_as, flows):
    type_as("mara", "lint", flows)
    type_as("mara", "test", flows)
    assert "typed: new" in type_as("mara", "diff", flows)
    first = type_as("mara", "apply", flows, "-m", "from a test")
    assert "new: demo/typed rev 1, draft" in first
    # Who may publish is somebody else; the text is the same, so nothing new is saved.
    second = type_as("pia", "apply", flows, "--publish")
    assert "unchanged: demo/typed rev 1, published" in second


def test_a_run_is_started_decided_and_read_from_the_command_line(applied, type_as, flows):
    started = json.loads(type_as("mara", "run", "typed", "-i", "word=grüß", "--json"))
    run_id, number = started["id"], started["number"]
    eventually(lambda: json.loads(type_as("ada", "inbox", "--run", run_id, "--json"))["items"])

    refused = type_as("mara", "approve", run_id, "--form", "ticket=7", "--yes", "--json", code=4)
    assert "code" in json.loads(refused)["error"]
    shown = type_as("ada", "approve", run_id, "--form", "ticket=7", "--yes")
    assert "Say “grüß”?" in shown
    assert "digest: " in shown
    watched = type_as("mara", "watch", f"#{number}", "--timeout", "120")
    assert "is over: succeeded" in watched
    assert "said: grüß!" in watched
    logs = type_as("mara", "logs", run_id)
    assert "ask#1 was decided: approved" in logs
    assert "the run ended: succeeded" in logs
    lines = [json.loads(line) for line in type_as("mara", "logs", run_id, "--json").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert "unchanged" in type_as("mara", "diff", flows)


def test_a_rejection_is_an_exit_code_of_its_own(applied, type_as):
    run_id = json.loads(type_as("mara", "run", "typed", "-i", "word=no", "--json"))["id"]
    eventually(lambda: json.loads(type_as("ada", "inbox", "--run", run_id, "--json"))["items"])

    type_as("ada", "approve", run_id, "--reject", "-m", "not this word", "--yes")

    type_as("mara", "watch", run_id, "--timeout", "120", code=6)


def test_interrupting_watches_no_longer_and_leaves_the_run_alone(applied, type_as, environment):
    run_id = json.loads(type_as("mara", "run", "typed", "-i", "word=stay", "--json"))["id"]
    with subprocess.Popen(
        [sys.executable, "-m", "countersign", "watch", run_id, "--profile", "mara"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        eventually(lambda: "waits for" in watching.stdout.readline())

        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=60)

    assert watching.returncode == 130
    assert "The run goes on" in said
    assert run_id in said
    assert "Traceback" not in said
    run = json.loads(type_as("mara", "show", run_id, "--json"))
    assert run["status"] == "WAITING"
    type_as("mara", "cancel", run_id, "--reason", "I may not", code=4)
    type_as("rex", "cancel", run_id, "--reason", "the test is over")
    type_as("mara", "watch", run_id, "--timeout", "120", code=5)


def test_a_wrong_token_says_so(people, environment):
    done = subprocess.run(
        [sys.executable, "-m", "countersign", "runs"],
        cwd=ROOT,
        env={**environment, "COUNTERSIGN_TOKEN": "cs_" + "0" * 64},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_project_that_is_not_there_says_so(people, type_as, flows):
    said = type_as("mara", "apply", flows, "--project", "nowhere", "--json", code=1)

    assert json.loads(said)["error"] == {
        "code": "identity.not_found",
        "message": "there is no project 'nowhere' that you may see",
    }

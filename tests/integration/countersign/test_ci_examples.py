"""The sample jobs: their commands are ones there are, and the shell one does what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from countersign.cli.main import countersign
from tests.architecture.sources import ROOT
from tests.integration.countersign.conftest import TOKEN

FOLDER = ROOT / "examples/ci"
FLOW = "schema: flow/v1\nkind: dag\nname: {name}\nsteps: {{a: {{wait: {{timer: PT1S}}}}}}\n"
CASE = "definition: a.yaml\nexpect: {outcome: succeeded, took: PT1S}\n"


def _commands():
    job = YAML(typ="safe").load((FOLDER / "github-actions.yml").read_text())["jobs"]
    lines = [step["run"] for part in job.values() for step in part["steps"] if "run" in step]
    shell = (FOLDER / "definitions.sh").read_text()
    lines += [
        f"countersign {line}" for line in re.findall(r"^ +\$countersign (.*)", shell, re.MULTILINE)
    ]
    return [line for line in lines if line.startswith("countersign ")]


@pytest.mark.parametrize("line", _commands())
def test_every_command_of_the_sample_jobs_can_be_typed(line):
    words = shlex.split(line.partition(" > ")[0].replace("${FAIL_ON:-", "").replace("}", ""))
    name, args = words[1], words[2:]

    command = countersign.commands[name]

    assert command.make_context(name, args).params["places"]


@pytest.fixture
def job(server, tmp_path):
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "a.yaml").write_text(FLOW.format(name="a"))
    (flows / "a.test.yaml").write_text(CASE)
    server.on("POST lint/", {"valid": True, "problems": []})
    same = {"workflow": "a", "base_rev": 1, "same_plan": True, "same_source": True}
    server.on("POST projects/shop/diff/", same | {"worst": None, "changes": []})
    server.on("GET workflows/a/", {"published_rev": 1})
    server.on("GET projects/shop/", {})
    server.on("GET workflows/", {"items": [], "next": None})
    server.on("POST workflows/shop/", {"rev": 1, "status": "draft"})
    server.on("POST workflows/shop/a/versions/1/publish/", {})

    def play(*args):
        return subprocess.run(
            ["sh", str(FOLDER / "definitions.sh"), *args],
            cwd=tmp_path,
            env={
                **os.environ,
                # Several words, none of which may have a space in it: the checkout's path may.
                "COUNTERSIGN": f"{Path(sys.executable).name} -m countersign",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "COUNTERSIGN_URL": server.site.url,
                "COUNTERSIGN_TOKEN": TOKEN,
                "COUNTERSIGN_PROJECT": "shop",
                "XDG_CONFIG_HOME": str(tmp_path),
                "NO_PROXY": "*",
                "MESSAGE": "from git",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return play


def test_the_shell_job_checks_and_changes_nothing(job, server, tmp_path):
    done = job("check")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 0 failed" in done.stdout
    assert (tmp_path / "junit.xml").exists()
    assert server.received("POST workflows/shop/") == []


def test_the_shell_job_fails_where_a_gate_is_weakened(job, server):
    worse = {"workflow": "a", "base_rev": 1, "same_plan": False, "same_source": False}
    server.on("POST projects/shop/diff/", worse | {"worst": "governance-weakening", "changes": []})

    assert job("check").returncode == 1


def test_the_shell_job_applies_and_publishes(job, server):
    done = job("apply")

    assert done.returncode == 0, done.stdout + done.stderr
    assert server.bodies("POST workflows/shop/")[0]["message"] == "from git"
    assert len(server.received("POST workflows/shop/a/versions/1/publish/")) == 1


def test_the_shell_job_says_how_it_is_called(job):
    assert job().returncode == 2

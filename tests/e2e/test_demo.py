"""`make demo`: the whole system as processes, and the main job told over its API."""

import os
import socket
import subprocess
import sys

import pytest

from examples.demo.system import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.timeout(620)]


def _play(tmp_path, **variables):
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return subprocess.run(
        [sys.executable, "-m", "examples.demo.play"],
        cwd=ROOT,
        env={**inherited, "VAR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def test_the_story_holds_from_a_first_start_to_a_verified_ledger(tmp_path, free_port):
    played = _play(tmp_path, PORT=free_port)

    assert played.returncode == 0, played.stdout + played.stderr
    for line in (
        "starts it again with the same key: the same run",
        "approves her own release: refused, 403",
        "approves something else than she was shown: refused, 412",
        "is over: succeeded",
        "is over: rejected",
        "is over: failed",
        "rolled back: production serves",
        "Everything was as it should be",
    ):
        assert line in played.stdout


def test_a_system_that_is_named_must_be_there(tmp_path, free_port):
    played = _play(tmp_path, COUNTERSIGN_URL=f"http://127.0.0.1:{free_port}")

    assert played.returncode == 1
    assert "No Countersign answers" in played.stderr

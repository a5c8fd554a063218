"""Test runs bring their own servers, side by side, and take them away again."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.settings.env import BASE_DIR
from core.toolkit.embedded.servers import lock_folder

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

_PROBE = "tests/integration/core/test_health.py::test_probes_cannot_be_posted_to"


def _run_tests(*arguments):
    hidden = ("DATABASE_URL", "REDIS_URL", "VAR", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", *arguments],
        cwd=BASE_DIR,
        env={key: value for key, value in os.environ.items() if key not in hidden},
        capture_output=True,
        text=True,
        check=False,
    )


def _list_folders():
    return {path.name for path in (BASE_DIR / "var" / "test").glob("*")}


def test_two_runs_at_once_do_not_meet_and_leave_nothing():
    before = _list_folders()

    with ThreadPoolExecutor() as threads:
        alone = threads.submit(_run_tests, _PROBE, "-p", "no:randomly")
        parallel = threads.submit(_run_tests, _PROBE, "-n", "2")

    for done in (alone.result(), parallel.result()):
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 passed" in done.stdout
    # Other runs may have come and gone meanwhile; ours left nothing of their own.
    assert not {name for name in _list_folders() - before if _is_abandoned(name)}


def _is_abandoned(name):
    lock = lock_folder(BASE_DIR / "var" / "test" / name)
    if lock is None:
        return False
    lock.close()
    return True

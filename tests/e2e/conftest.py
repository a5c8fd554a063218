"""One running system for all end-to-end tests, and people signed in to it."""

import os
import subprocess
import sys

import pytest

from countersign import Client
from examples.demo.cast import PASSWORD
from tests.processes import ROOT, RunningSystem, running_system

# The tests' own servers; a command run by hand finds those of the running system.
HIDDEN = frozenset({"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "VAR"})


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """Return everything `make run` starts, in a folder with spaces."""
    folder = tmp_path_factory.mktemp("a folder with spaces")
    with running_system(folder, FUNCTION_MODULES="tests.e2e_functions") as running:
        yield running


def sign_in(system: RunningSystem, username: str) -> Client:
    """Return a client that speaks for one of the demo's people."""
    with Client(system.url, "") as anyone:
        token = anyone.create_token(username, PASSWORD)["token"]
    return Client(system.url, token)


def assert_the_ledger_verifies(system: RunningSystem) -> None:
    """Verify every stream of a running system's ledger, as an operator would."""
    done = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger"],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if name not in HIDDEN},
            "VAR": str(system.folder / "var"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The ledger verifies" in done.stdout

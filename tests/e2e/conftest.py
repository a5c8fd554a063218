"""One running system for all end-to-end tests, and people signed in to it."""

import pytest

from countersign import Client
from examples.demo.cast import PASSWORD
from tests.processes import RunningSystem, running_system


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

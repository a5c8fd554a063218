"""Real servers on the loopback address."""

import socket
import threading
from contextlib import closing

import pytest

from countersign.functions import Attempt
from tests.loopback import serve


@pytest.fixture
def site():
    """Serve HTTP on a free port of 127.0.0.1."""
    yield from serve("127.0.0.1")


@pytest.fixture
def other_site(site):
    """Serve HTTP on the same port of 127.0.0.2, which no test may reach."""
    yield from serve("127.0.0.2", port=site.port)


@pytest.fixture
def raw_site():
    """Serve raw bytes: the test gives a function from a connection to nothing."""
    stop = threading.Event()
    threads = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def start(talk):
        def run():
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(5)
                with closing(connection):
                    try:
                        talk(connection, stop)
                    except OSError:
                        continue

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start

    stop.set()
    for thread in threads:
        thread.join()
    listener.close()


@pytest.fixture
def free_port():
    """Find a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def attempt():
    return Attempt(
        run_id="018f0000-0000-7000-8000-000000000001",
        step="deploy",
        number=1,
        idempotency_key="run:deploy:1",
        timeout_seconds=10.0,
    )

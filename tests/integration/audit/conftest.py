"""What the tests of the ledger share."""

import threading
from typing import Any

import pytest
from django.db import connection


@pytest.fixture
def at_once():
    """Return a way to run calls in threads with connections of their own, started together."""

    def run(*calls):
        barrier = threading.Barrier(len(calls))
        results: list[Any] = [None] * len(calls)

        def body(index, call):
            try:
                barrier.wait(timeout=30)
                results[index] = call()
            except BaseException as error:  # noqa: BLE001 - the test judges it
                results[index] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=body, args=item) for item in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        return results

    return run

"""An attempt to hand to actions."""

from dataclasses import replace

import pytest

from countersign.functions import Attempt
from engine.actions.contract import ActionCall, ActionError


@pytest.fixture
def attempt():
    return Attempt(
        run_id="018f0000-0000-7000-8000-000000000001",
        step="step",
        number=1,
        idempotency_key="run:step#1:1",
        timeout_seconds=20.0,
    )


@pytest.fixture
def execute(attempt):
    """Execute an action; `seconds` is the time the attempt has."""

    def execute(spec, *, seconds=20.0, asks_cancelled=lambda: False, **arguments):
        told = replace(attempt, timeout_seconds=seconds, asks_cancelled=asks_cancelled)
        return spec.execute(ActionCall(arguments=arguments, attempt=told))

    return execute


@pytest.fixture
def failure(execute):
    """Execute an action and return how it failed."""

    def failure(spec, **arguments):
        with pytest.raises(ActionError) as caught:
            execute(spec, **arguments)
        return caught.value

    return failure

"""An attempt to hand to actions."""

import pytest

from countersign.functions import Attempt


@pytest.fixture
def attempt():
    return Attempt(
        run_id="018f0000-0000-7000-8000-000000000001",
        step="deploy",
        number=1,
        idempotency_key="run:deploy:1",
        timeout_seconds=5.0,
    )

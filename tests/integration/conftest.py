"""What holds for every test with a database."""

import pytest

from tests import founding


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Roll back a module's shared world before a test whose transactions must be real.

    Those come last in their module; pytest-django sees to that.
    """
    marker = item.get_closest_marker("django_db")
    is_real = marker is not None and marker.kwargs.get("transaction")
    if is_real or "transactional_db" in getattr(item, "fixturenames", ()):
        founding.disband()

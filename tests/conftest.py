"""What holds for every test."""

import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no finding: examples are judged by what they show, never by how long they took.
settings.register_profile(
    "countersign", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("countersign")


# Long first: what takes long and comes last keeps one worker busy while the others are done.
_ORDER = ("tests/e2e/browser", "tests/e2e", "tests/integration/core", "tests/simulation")


def pytest_configure() -> None:
    """Heed Ctrl-C, so that what tests start does.

    A shell starts what is in its background with it ignored, and that is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares something, for the `--dist loadgroup` of `make test`."""
    from tests.sharing import SharingScheduler  # noqa: PLC0415 - only with xdist

    return SharingScheduler(config, log) if config.option.dist == "loadgroup" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    places = (n for n, start in enumerate(_ORDER) if item.nodeid.startswith(start))
    return next(places, len(_ORDER))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, in one line, that the tests in a browser were skipped, and what is missing."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("no chromium: " in str(report.longrepr) for report in skipped)
    if count:
        line = f"{count} tests in a browser were skipped; no chromium: apt-get install chromium"
        terminalreporter.write_line(line, yellow=True)

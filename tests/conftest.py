"""What holds for every test."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no finding: examples are judged by what they show, never by how long they took.
settings.register_profile(
    "countersign", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("countersign")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, in one line, that the tests in a browser were skipped, and what is missing."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("no chromium: " in str(report.longrepr) for report in skipped)
    if count:
        line = f"{count} tests in a browser were skipped; no chromium: apt-get install chromium"
        terminalreporter.write_line(line, yellow=True)

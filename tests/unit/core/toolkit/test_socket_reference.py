"""The page about the websocket names what the code has."""

from pathlib import Path

from core.kernel import limits
from core.toolkit.socket.protocol import CloseCode

PAGE = Path(__file__).resolve().parents[4] / "docs/reference/socket.md"


def test_the_page_names_every_close_code_and_bound():
    text = PAGE.read_text(encoding="utf-8")

    missing = [code for code in CloseCode if f"| {code.value} |" not in text]
    assert missing == []
    assert f"{limits.SOCKET_FRAME_BYTES_MAX:,} characters" in text
    assert f"{limits.SOCKET_TOPIC_COUNT_MAX} topics" in text
    assert f"{limits.SOCKET_FRAME_COUNT_MAX} frames" in text
    assert f"every {limits.SOCKET_RECHECK_SECONDS:.0f} seconds" in text
    assert (limits.SOCKET_FRAME_WINDOW_SECONDS, limits.SOCKET_FAULT_COUNT_MAX) == (10.0, 10)

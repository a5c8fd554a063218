"""The workflow's text, for the place it runs in."""

from pathlib import Path

WORKFLOW = Path(__file__).parent / "workflow.yaml"
_LINE = '  target: "http://127.0.0.1:8001"\n'


def read_source(*, target_url: str) -> str:
    """Return the definition with the target's address in its one line.

    The address is not looked up when a run needs it: it is part of the version, so approving a
    release is also approving where it goes.
    """
    text = WORKFLOW.read_text(encoding="utf-8")
    assert text.count(_LINE) == 1, "workflow.yaml has the line that is to be replaced"
    return text.replace(_LINE, f'  target: "{target_url}"\n')

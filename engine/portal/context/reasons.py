"""Why steps ended without executing, in sentences. Read `explain_end`."""

from typing import Final

from engine.portal.statuses import say_step

_UNDONE: Final = frozenset({"skipped", "unreached", "cancelled"})
_WHY_WORDS: Final = {
    "if": "Its condition was false.",
    "cancel": "The run was cancelled before it began.",
    "race": "Another branch was faster.",
    "join": "Enough others ended well.",
    "enough": "Enough others ended well.",
    "fail-fast": "Another combination failed.",
    "failed": "What it is part of failed.",
    "timeout": "The time was up.",
    "left": "The run went on to another state.",
    "question": "A person skipped it.",
    "operator": "An operator skipped it.",
    "nobody is asked": "Nobody was asked.",
    "too few ended well": "Too few of what it needs ended well.",
}
_END_WORDS: Final = {
    "failed": "failed",
    "skipped": "was skipped",
    "rejected": "was rejected",
    "unreached": "was not reached",
    "expired": "timed out",
    "cancelled": "was cancelled",
    "withdrawn": "was withdrawn",
    "voided": "was voided",
}


def explain_end(outcome: str | None, why: str) -> str:
    """Return why a step ended without executing, in a sentence; "" if it needs none."""
    if outcome not in _UNDONE:
        return ""
    if why in _WHY_WORDS:
        return _WHY_WORDS[why]
    need, _, end = why.partition(" ")
    return f"{say_step(need)} {_END_WORDS.get(end, end)}." if need else ""

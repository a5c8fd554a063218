"""What a run waits for time for. Read `Purpose`.

A timer's name is its purpose and the key it belongs to, such as `deadline:deploy#1`; the event
`timer.fired` carries it.
"""

from enum import StrEnum


class Purpose(StrEnum):
    """What happens when a timer is due."""

    SLEEP = "sleep"  # a `wait` for time ends
    DEADLINE = "deadline"  # a step that is not done by now has failed
    DELAY = "delay"  # the next turn of a loop begins
    AFTER = "after"  # a transition of a state; the key ends with the transition's index
    STUCK = "stuck"  # a run is in a state for too long


def timer_name(purpose: Purpose, key: str) -> str:
    """Return the name of a timer."""
    return f"{purpose.value}:{key}"


def read_timer(name: str) -> tuple[Purpose, str]:
    """Return a timer's purpose and key."""
    purpose, _, key = name.partition(":")
    return Purpose(purpose), key

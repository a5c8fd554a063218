"""What is said of attempts that others execute. Read `say_begin`."""

from engine.domain.events import Event
from engine.domain.external import find_topic


def say_begin(queue: str) -> str:
    """Return how attempts with a label begin, with `{}` in place of their names."""
    topic = find_topic(queue)
    if topic:
        return f"put {{}} up for workers of the topic {topic}"
    return f"handed {{}} to the queue {queue}" if queue else "began {}"


def say_claim(title: str, event: Event) -> str:
    """Return that a program has taken a task."""
    return f"The worker “{event.data['worker']}” took {title}"

"""Where the apps say who may subscribe to what. Read `register_topic` first."""

from collections.abc import Callable
from dataclasses import dataclass

from core.identity.domain.principal import Principal
from core.kernel.errors import MissingError
from core.toolkit.socket.protocol import Topic


class TopicMissingError(MissingError):
    """There is no such topic, or the caller may not know of it: the two look the same."""

    code = "core.topic_missing"
    title = "There is no such topic, or you may not see it."


# Called with `principal` and `topic_id` (`None` for a topic without one). Returns the groups whose
# signals belong to the topic for this principal now, or `None` to refuse.
FindGroups = Callable[..., "frozenset[str] | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRule:
    """A kind of topic.

    `find_groups(*, principal, topic_id)` runs in a thread with a database connection, on
    subscribing and again before every signal that is sent: it only reads, in few queries.
    """

    name: str
    takes_id: bool
    find_groups: FindGroups


_RULES: dict[str, TopicRule] = {}


def register_topic(rule: TopicRule) -> None:
    """Make a topic known; an app calls this once, in its `ready()`."""
    assert _RULES.get(rule.name, rule) == rule, f"the topic {rule.name!r} is registered twice"
    _RULES[rule.name] = rule


def find_groups(*, topic: Topic, principal: Principal) -> frozenset[str]:
    """Return the groups a principal is in for a topic now.

    Raises:
        TopicMissingError: if there is no such topic or the principal may not see it.
    """
    rule = _RULES.get(topic.name)
    if rule is None or rule.takes_id != (topic.id is not None):
        raise TopicMissingError
    groups = rule.find_groups(principal=principal, topic_id=topic.id)
    if groups is None:
        raise TopicMissingError
    return frozenset(groups)


def list_topic_names() -> tuple[str, ...]:
    """Return the registered names, sorted."""
    return tuple(sorted(_RULES))

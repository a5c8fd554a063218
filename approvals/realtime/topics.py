"""The topic `inbox`: signals that a request moved which may concern the subscriber.

Read `INBOX_TOPIC`. The groups are those of the subscriber's audience keys as they are now, so that
a change of teams or roles acts with the next signal.
"""

from uuid import UUID

from core.identity.domain.audience import format_channel
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_audience_keys
from core.toolkit.socket.topics import TopicRule


def find_inbox_groups(*, principal: Principal, topic_id: UUID | None) -> frozenset[str] | None:
    """Return the groups of a principal's audience keys; everybody has an inbox."""
    assert topic_id is None, "the topic `inbox` takes no id"
    return frozenset(format_channel(key) for key in list_audience_keys(principal=principal))


INBOX_TOPIC = TopicRule(name="inbox", takes_id=False, find_groups=find_inbox_groups)

"""The topic `ledger`: signals that a tree head was signed. Read `LEDGER_TOPIC`."""

from typing import Final
from uuid import UUID

from audit.selectors.proofs import can_read_log
from core.identity.domain.principal import Principal
from core.toolkit.socket.topics import TopicRule

LEDGER_GROUP: Final = "ledger"


def find_ledger_groups(*, principal: Principal, topic_id: UUID | None) -> frozenset[str] | None:
    """Return the group of the log's signals, or `None` if the caller may not read the log."""
    assert topic_id is None, "the topic `ledger` takes no id"
    return frozenset({LEDGER_GROUP}) if can_read_log(principal=principal) else None


LEDGER_TOPIC: Final = TopicRule(name="ledger", takes_id=False, find_groups=find_ledger_groups)

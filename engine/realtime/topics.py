"""The topic `run:<uuid>`: signals that a run has moved. Read `RUN_TOPIC`."""

from uuid import UUID

from core.identity.domain.principal import Principal
from core.toolkit.socket.topics import TopicRule
from engine.domain.errors import RunMissingError
from engine.selectors.targets import get_run_target


def find_run_groups(*, principal: Principal, topic_id: UUID | None) -> frozenset[str] | None:
    """Return the group of a run's signals, or `None` if the caller may not see the run."""
    assert topic_id is not None, "the topic `run` takes an id"
    try:
        target = get_run_target(principal=principal, run_id=topic_id)
    except RunMissingError:
        return None
    return frozenset({f"run.{target.run_id.hex}"})


RUN_TOPIC = TopicRule(name="run", takes_id=True, find_groups=find_run_groups)

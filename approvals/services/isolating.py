"""One request's trouble is its own. Read `attempt_alone`."""

from collections.abc import Callable
from uuid import UUID

import structlog
from django.db import connection

log = structlog.get_logger(__name__)


def attempt_alone(*, act: Callable[[], bool], request_id: UUID, failure: str) -> bool:
    """Do something to one request of many; whatever goes wrong must not keep it from the others.

    Args:
        act: opens a transaction of its own, so that nothing of a failure stays; says whether it
            did something.
        request_id: of what request.
        failure: the event logged, with the request's id. The next round tries again.

    Returns:
        What `act` says, `False` after a failure.

    Raises:
        Exception: whatever came with the loss of the database, which is everybody's trouble.
    """
    connection.ensure_connection()  # so that one that is not there afterwards was lost
    try:
        return act()
    except Exception:  # the edge of one request: whatever is wrong with it is its own
        if not connection.is_usable():
            raise  # nothing is wrong with the request: nothing works without a database
        log.exception(failure, request=str(request_id))
        return False

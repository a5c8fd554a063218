"""Telling open sockets that access was taken away. Read `announce_revocation`."""

from collections.abc import Iterable
from uuid import UUID

from core.toolkit import realtime


def announce_revocation(*, user_ids: Iterable[UUID]) -> None:
    """Have the sockets of accounts closed, after commit; they may come back and ask again.

    It is only for promptness: every message is authorised again before it is sent.

    Transaction: joins one.
    """
    groups = [f"user.{user_id.hex}" for user_id in user_ids]
    realtime.publish_on_commit(groups=groups, signal={"revoked": 1})

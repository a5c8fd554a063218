"""Open sockets are told when access is taken away."""

import asyncio
from collections.abc import Callable

import pytest
from channels.layers import channel_layers
from django.db import connection, transaction

from core.identity.domain.permissions import Permission
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services import groups, people, roles, shares, tokens
from core.toolkit import realtime


@pytest.fixture
def org(committed_org):
    """What is published is published on commit."""
    return committed_org


def told(user, call):
    """Return what a socket of an account is told by a call, `None` if nothing."""

    def run():
        try:
            call()
        finally:
            connection.close()
        realtime.drain(seconds=5)

    async def listen():
        layer = channel_layers.make_backend("default")
        channel = await layer.new_channel()
        await layer.group_add(f"user.{user.pk.hex}", channel)
        await asyncio.to_thread(run)
        try:
            async with asyncio.timeout(2):
                return (await layer.receive(channel))["signal"]
        except TimeoutError:
            return None
        finally:
            await layer.close_pools()

    return asyncio.run(listen())


WAYS: dict[str, Callable[..., None]] = {
    "deactivated": lambda org, ada, **_: people.deactivate_user(
        principal=org.system, user_id=ada.pk
    ),
    "sessions ended": lambda org, ada, **_: people.end_sessions(
        principal=org.system, user_id=ada.pk
    ),
    "token revoked": lambda org, token, **_: tokens.revoke_token(
        principal=org.system, token_id=token.row.pk
    ),
    "role revoked": lambda org, direct, **_: roles.revoke_assignment(
        principal=org.system, assignment_id=direct.pk
    ),
    "role of the team revoked": lambda org, through, **_: roles.revoke_assignment(
        principal=org.system, assignment_id=through.pk
    ),
    "taken out of the team": lambda org, ada, board, **_: groups.remove_member(
        principal=org.system, group_id=board.pk, user_id=ada.pk
    ),
    "share taken back": lambda org, board, **_: shares.unshare_project(
        principal=org.system,
        project_id=org.pay.pk,
        permission=Permission.VIEW_PROJECT,
        group_id=board.pk,
    ),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_socket_of_the_account_is_told(org, way):
    ada = org.user("ada")
    board = org.group("board", ada)
    facts = {
        "ada": ada,
        "board": board,
        "token": org.token(ada),
        "direct": org.assign("viewer", GLOBAL_SCOPE_ID, user=ada),
        "through": org.assign("approver", org.pay.scope_id, group=board),
    }
    shares.share_project(
        principal=org.system,
        project_id=org.pay.pk,
        permission=Permission.VIEW_PROJECT,
        group_id=board.pk,
    )

    assert told(ada, lambda: WAYS[way](org, **facts)) == {"revoked": 1}


def test_a_change_that_is_rolled_back_tells_nobody(org):
    ada = org.user("ada")

    def deactivate_and_think_again():
        with transaction.atomic():
            people.deactivate_user(principal=org.system, user_id=ada.pk)
            transaction.set_rollback(True)

    assert told(ada, deactivate_and_think_again) is None

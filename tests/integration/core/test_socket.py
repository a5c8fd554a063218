"""A socket tells its client what changed, and only while the client may know."""

from collections.abc import Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from uuid import UUID

import pytest
from channels.db import database_sync_to_async
from channels.layers import channel_layers, get_channel_layer
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import transaction
from rest_framework.test import APIClient

from core.asgi import application
from core.identity.domain.principal import make_system_principal
from core.identity.selectors.principals import get_principal, make_origin
from core.identity.services.people import create_user, deactivate_user
from core.identity.services.tokens import create_token, revoke_token
from core.kernel import ids, limits
from core.kernel.record import Via
from core.toolkit import realtime
from core.toolkit.socket import consumer, topics
from core.toolkit.socket.topics import TopicRule
from tests.socket_client import SocketClient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

_RUN = UUID("018f0000-0000-7000-8000-000000000001")
_OTHER_RUN = UUID("018f0000-0000-7000-8000-000000000002")
_SYSTEM = make_system_principal()
_QUIET_SECONDS = 0.3  # long enough for a signal that should not come


@pytest.fixture(autouse=True)
def fresh_connections() -> Iterator[None]:
    """Connections belong to an event loop, and every test has a new one."""
    channel_layers.backends.clear()
    yield
    channel_layers.backends.clear()


@pytest.fixture
def open_runs(monkeypatch):
    """The runs everybody may see; a stand-in for what the apps register."""
    runs = {_RUN}

    def find_run(*, principal, topic_id):
        return frozenset({f"run.{topic_id.hex}"}) if topic_id in runs else None

    def find_inbox(*, principal, topic_id):
        return frozenset({f"audience.u.{principal.user_id.hex}", "audience.everybody"})

    rules = {
        "run": TopicRule(name="run", takes_id=True, find_groups=find_run),
        "inbox": TopicRule(name="inbox", takes_id=False, find_groups=find_inbox),
    }
    monkeypatch.setattr(topics, "_RULES", rules)
    return runs


@pytest.fixture
def user():
    return create_user(
        principal=_SYSTEM, username="ada", name="Ada", password="correct horse battery staple"
    )


@pytest.fixture
def principal(user):
    origin = make_origin(user=user, via=Via.PORTAL, auth="session")
    return get_principal(user=user, origin=origin)


@pytest.fixture
def token(principal):
    """A token of the user and its secret."""
    return create_token(principal=principal, name="for the socket")


def _token_headers(secret, *, scheme="Token"):
    return [(b"authorization", f"{scheme} {secret}".encode())]


def _sign_in(user):
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session


def _session_headers(session, *, origin=None):
    cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
    return [
        (b"cookie", cookie.encode()),
        (b"origin", (origin or settings.TRUSTED_ORIGINS[0]).encode()),
    ]


@asynccontextmanager
async def _socket(headers, *, path="/ws/"):
    client = SocketClient(application, path, headers=headers)
    await client.open()
    try:
        yield client
    finally:
        await client.close()


async def _is_silent(client):
    return await client.receive_nothing(timeout=_QUIET_SECONDS)


def _publish(*groups, **signal):
    realtime.publish(groups=groups, signal=signal)


async def test_a_subscriber_is_told_with_ids(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        answer = await socket.ask({"subscribe": f"run:{_RUN}"})
        _publish(f"run.{_RUN.hex}", run=str(_RUN), seq=7)

        assert answer == {"type": "subscribed", "topic": f"run:{_RUN}"}
        assert await socket.receive() == {
            "type": "signal",
            "topic": f"run:{_RUN}",
            "run": str(_RUN),
            "seq": 7,
        }


async def test_a_subscriber_is_not_told_of_other_topics(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        _publish(f"run.{_OTHER_RUN.hex}", run=str(_OTHER_RUN))

        assert await _is_silent(socket)


async def test_a_signal_to_several_groups_of_one_topic_arrives_once(token, open_runs, user):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": "inbox"})
        _publish("audience.everybody", f"audience.u.{user.pk.hex}", request="1")

        assert (await socket.receive())["request"] == "1"
        assert await _is_silent(socket)


async def test_after_unsubscribing_it_is_silent(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        answer = await socket.ask({"unsubscribe": f"run:{_RUN}"})
        _publish(f"run.{_RUN.hex}", seq=1)

        assert answer == {"type": "unsubscribed", "topic": f"run:{_RUN}"}
        assert await _is_silent(socket)


@pytest.mark.parametrize("topic", [f"run:{_OTHER_RUN}", "nonsense", "run", f"inbox:{_RUN}"])
async def test_a_topic_that_is_missing_and_one_that_is_hidden_look_the_same(
    token, open_runs, topic
):
    async with _socket(_token_headers(token[1])) as socket:
        answer = await socket.ask({"subscribe": topic})

        assert answer == {
            "type": "refused",
            "topic": topic,
            "code": "core.topic_missing",
            "message": "There is no such topic, or you may not see it.",
        }


async def test_access_is_asked_again_before_every_signal(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        open_runs.clear()
        _publish(f"run.{_RUN.hex}", seq=1)

        answer = await socket.receive()
        _publish(f"run.{_RUN.hex}", seq=2)

        assert (answer["type"], answer["topic"]) == ("refused", f"run:{_RUN}")
        assert await _is_silent(socket)


async def test_a_session_of_our_own_page_is_let_in(user, open_runs):
    session = await database_sync_to_async(_sign_in)(user)

    async with _socket(_session_headers(session)) as socket:
        assert (await socket.ask({"subscribe": "inbox"}))["type"] == "subscribed"


async def test_a_session_on_a_foreign_page_is_never_opened(user, open_runs):
    session = await database_sync_to_async(_sign_in)(user)

    async with _socket(_session_headers(session, origin="https://evil.example")) as socket:
        assert not socket.is_open


async def test_a_cookie_without_an_origin_is_never_opened(user, open_runs):
    session = await database_sync_to_async(_sign_in)(user)

    async with _socket(_session_headers(session)[:1]) as socket:
        assert not socket.is_open


async def test_a_token_on_a_foreign_page_is_never_opened(token):
    headers = [*_token_headers(token[1]), (b"origin", b"https://evil.example")]

    async with _socket(headers) as socket:
        assert not socket.is_open


async def test_a_path_that_is_no_socket_is_never_opened(token):
    async with _socket(_token_headers(token[1]), path="/elsewhere/") as socket:
        assert not socket.is_open


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer"])
async def test_a_token_is_let_in_under_both_of_its_names(token, scheme):
    async with _socket(_token_headers(token[1], scheme=scheme)) as socket:
        assert socket.is_open


async def test_a_token_under_another_name_is_none(token):
    async with _socket(_token_headers(token[1], scheme="Basic")) as socket:
        assert not socket.is_open


@pytest.mark.parametrize("path", ["/ws/", "/ws"])
async def test_both_spellings_of_the_path_open(token, path):
    async with _socket(_token_headers(token[1]), path=path) as socket:
        assert socket.is_open


@pytest.mark.parametrize("secret", ["", "cs_" + "0" * 64, "nonsense"])
async def test_a_token_that_does_not_hold_is_told_so(secret, db):
    async with _socket(_token_headers(secret)) as socket:
        assert socket.is_open
        assert await socket.receive_close() == 4401


async def test_a_page_without_a_session_is_told_so():
    async with _socket([(b"origin", settings.TRUSTED_ORIGINS[0].encode())]) as socket:
        assert socket.is_open
        assert await socket.receive_close() == 4401


async def test_a_session_signed_for_another_password_does_not_hold(user):
    session = await database_sync_to_async(_sign_in)(user)
    user.set_password("another horse battery staple")
    await database_sync_to_async(user.save)()

    async with _socket(_session_headers(session)) as socket:
        assert await socket.receive_close() == 4401


async def test_revoking_the_token_closes_the_socket(token, principal, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": "inbox"})
        await database_sync_to_async(revoke_token)(principal=principal, token_id=token[0].pk)

        assert await socket.receive_close() == 4401


async def test_revoking_another_token_leaves_the_socket_open(token, principal, open_runs):
    other, _ = await database_sync_to_async(create_token)(principal=principal, name="other")

    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": "inbox"})
        await database_sync_to_async(revoke_token)(principal=principal, token_id=other.pk)

        assert await _is_silent(socket)
        assert (await socket.ask({"subscribe": f"run:{_RUN}"}))["type"] == "subscribed"


async def test_disabling_the_account_closes_its_sockets(user, token, open_runs):
    session = await database_sync_to_async(_sign_in)(user)

    async with (
        _socket(_token_headers(token[1])) as with_token,
        _socket(_session_headers(session)) as with_session,
    ):
        await with_token.ask({"subscribe": "inbox"})
        await with_session.ask({"subscribe": "inbox"})
        await database_sync_to_async(deactivate_user)(principal=_SYSTEM, user_id=user.pk)

        assert await with_token.receive_close() == 4401
        assert await with_session.receive_close() == 4401


async def test_logging_out_closes_the_socket_when_it_is_told(user, open_runs):
    session = await database_sync_to_async(_sign_in)(user)

    async with _socket(_session_headers(session)) as socket:
        await socket.ask({"subscribe": "inbox"})
        await database_sync_to_async(session.flush)()
        _publish(f"user.{user.pk.hex}", revoked=1)

        assert await socket.receive_close() == 4401


@pytest.mark.parametrize("way", ["session", "token"])
async def test_signing_out_closes_the_sockets_it_opened_and_no_others(user, token, open_runs, way):
    sessions = [await database_sync_to_async(_sign_in)(user) for _ in range(2)]
    ways = {"session": _session_headers(sessions[0]), "token": _token_headers(token[1])}
    stays = [ways[name] for name in ways if name != way] + [_session_headers(sessions[1])]

    async with (
        _socket(ways[way]) as first,
        _socket(ways[way]) as second,
        _socket(stays[0]) as other,
        _socket(stays[1]) as elsewhere,
    ):
        for socket in (first, second, other, elsewhere):
            await socket.ask({"subscribe": "inbox"})
        assert await database_sync_to_async(_sign_out)(ways[way]) == 204

        assert [await first.receive_close(), await second.receive_close()] == [4401, 4401]
        assert await _is_silent(other)
        assert await _is_silent(elsewhere)
        assert (await other.ask({"subscribe": "inbox"}))["type"] == "subscribed"


def _sign_out(headers):
    sent = {name.decode(): value.decode() for name, value in headers}
    return APIClient().post("/api/v1/auth/logout/", headers=sent).status_code


async def test_a_logout_nobody_told_of_closes_the_socket_at_the_next_signal(user, open_runs):
    session = await database_sync_to_async(_sign_in)(user)

    async with _socket(_session_headers(session)) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        await database_sync_to_async(session.flush)()
        _publish(f"run.{_RUN.hex}", seq=1)

        assert await socket.receive_close() == 4401


async def test_a_socket_proves_itself_again_by_itself(user, open_runs, monkeypatch):
    monkeypatch.setattr(consumer.LiveConsumer, "recheck_seconds", 0.05)
    session = await database_sync_to_async(_sign_in)(user)

    async with _socket(_session_headers(session)) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        open_runs.clear()
        refused = await socket.receive()
        await database_sync_to_async(session.flush)()

        assert refused["type"] == "refused"
        assert await socket.receive_close() == 4401


@pytest.mark.parametrize("text", ["", "{", "[]", '{"subscribe": 7}', "[" * 4_000, "x" * 5_000])
async def test_nonsense_is_answered_and_the_socket_goes_on(token, open_runs, text):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.send(text)
        answer = await socket.receive()

        assert (answer["type"], answer["code"]) == ("error", "core.socket_frame")
        assert (await socket.ask({"subscribe": "inbox"}))["type"] == "subscribed"


async def test_binary_frames_are_answered(token):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.send(b"\x00\xff")

        assert (await socket.receive())["type"] == "error"


async def test_too_much_nonsense_closes_the_socket(token):
    async with _socket(_token_headers(token[1])) as socket:
        for _ in range(limits.SOCKET_FAULT_COUNT_MAX):
            await socket.send("{")
        for _ in range(limits.SOCKET_FAULT_COUNT_MAX):
            assert (await socket.receive())["type"] == "error"

        assert await socket.receive_close() == 4400


async def test_too_many_frames_close_the_socket(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        for _ in range(limits.SOCKET_FRAME_COUNT_MAX):
            await socket.ask({"unsubscribe": "inbox"})
        await socket.send('{"unsubscribe": "inbox"}')

        assert await socket.receive_close() == 4429


async def test_a_socket_has_so_many_topics_and_no_more(token, open_runs):
    runs = [ids.uuid7() for _ in range(limits.SOCKET_TOPIC_COUNT_MAX)]
    open_runs.update(runs)

    async with _socket(_token_headers(token[1])) as socket:
        for run in runs:
            assert (await socket.ask({"subscribe": f"run:{run}"}))["type"] == "subscribed"
        again = await socket.ask({"subscribe": f"run:{runs[0]}"})
        more = await socket.ask({"subscribe": "inbox"})

        assert again["type"] == "subscribed"
        assert (more["type"], more["code"]) == ("refused", "core.socket_topics")


async def test_a_closed_socket_leaves_its_groups(token, open_runs, user):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        assert await _count_members(f"run.{_RUN.hex}") == 1

    assert await _count_members(f"run.{_RUN.hex}") == 0
    assert await _count_members(f"user.{user.pk.hex}") == 0


async def _count_members(group):
    layer = get_channel_layer()
    return await layer.connection(0).zcard(layer._group_key(group))


async def test_a_signal_of_a_transaction_that_rolls_back_is_never_sent(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        await database_sync_to_async(_publish_and_roll_back)()

        assert await _is_silent(socket)


def _publish_and_roll_back():
    with transaction.atomic():
        realtime.publish_on_commit(groups=[f"run.{_RUN.hex}"], signal={"seq": 1})
        transaction.set_rollback(True)


async def test_a_signal_of_a_transaction_is_sent_after_it_commits(token, open_runs):
    async with _socket(_token_headers(token[1])) as socket:
        await socket.ask({"subscribe": f"run:{_RUN}"})
        await database_sync_to_async(_publish_and_commit)()

        assert (await socket.receive())["seq"] == 1


def _publish_and_commit():
    with transaction.atomic():
        realtime.publish_on_commit(groups=[f"run.{_RUN.hex}"], signal={"seq": 1})

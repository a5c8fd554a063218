"""Who sent an event is kept as it was."""

import pytest

from core.kernel.record import ENGINE_ORIGIN, Actor, ActorKind, Origin, Via
from engine.senders import describe_sender, read_sender

AGENT = Actor(id="018f0000-0000-7000-8000-000000000001", kind=ActorKind.AGENT)
PERSON = Actor(id="018f0000-0000-7000-8000-000000000002", kind=ActorKind.PERSON)


@pytest.mark.parametrize(
    "origin",
    [
        ENGINE_ORIGIN,
        Origin(actor=PERSON, via=Via.PORTAL, auth="session", request_id="r1"),
        Origin(actor=AGENT, via=Via.API, auth="token", on_behalf_of=PERSON),
    ],
)
def test_a_sender_is_read_back_as_it_was(origin):
    assert read_sender(describe_sender(origin)) == origin


def test_no_address_is_kept():
    origin = Origin(actor=PERSON, via=Via.API, source_address="192.0.2.7")

    assert "192.0.2.7" not in str(describe_sender(origin))

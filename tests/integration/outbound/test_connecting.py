"""Connections to servers that speak something other than HTTP: judged as requests are."""

import socket

import pytest

from core.kernel.egress import EgressPolicy, parse_policy
from core.toolkit.outbound import Fault, OutboundError, connect


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def _connect(listener, *, policy, host="siem.example", answers=("127.0.0.1",)):
    port = listener.getsockname()[1]
    return connect(
        policy=policy,
        host=host,
        port=port,
        timeout_seconds=5.0,
        resolver=lambda _host, _port: list(answers),
        remedy="on the list",
    )


def _fault(listener, **changes):
    with pytest.raises(OutboundError) as caught:
        _connect(listener, **changes)
    return caught.value


def test_an_allowed_name_is_connected_to_where_it_was_judged(listener):
    port = listener.getsockname()[1]

    with _connect(listener, policy=parse_policy([f"siem.example:{port}"])) as found:
        assert found.getpeername() == ("127.0.0.1", port)


@pytest.mark.parametrize(
    "answers",
    [("127.0.0.1",), ("10.0.0.1",), ("169.254.169.254",), ("127.0.0.1", "169.254.169.254")],
)
def test_a_private_address_is_refused_before_any_connection(listener, answers):
    error = _fault(listener, policy=EgressPolicy(), answers=answers)

    assert error.fault is Fault.DENIED
    assert "not on the list" in error.message


def test_a_name_that_is_allowed_may_not_lead_to_the_metadata_service(listener):
    port = listener.getsockname()[1]
    policy = parse_policy([f"siem.example:{port}"])

    assert _fault(listener, policy=policy, answers=("169.254.169.254",)).fault is Fault.DENIED


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "a b", ""])
def test_a_host_that_parsers_read_differently_is_refused(listener, host):
    assert _fault(listener, policy=EgressPolicy(), host=host).fault is Fault.INVALID


def test_the_next_address_is_tried_and_nobody_there_is_said(listener):
    port = listener.getsockname()[1]
    policy = parse_policy(["127.0.0.0/8", "::1/128"])

    with _connect(listener, policy=policy, answers=("::1", "127.0.0.1")) as found:
        assert found.getpeername()[0] == "127.0.0.1"
    listener.close()
    with pytest.raises(OutboundError) as caught:
        connect(policy=policy, host="127.0.0.1", port=port, timeout_seconds=5.0)
    assert caught.value.fault is Fault.CONNECTION


def test_a_name_that_cannot_be_resolved_is_said(listener):
    error = _fault(listener, policy=EgressPolicy(), answers=())

    assert error.fault is Fault.CONNECTION
    assert "siem.example cannot be resolved" in error.message

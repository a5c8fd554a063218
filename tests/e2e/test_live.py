"""Live notices through real processes: what a person's open page is told, and when no more."""

import json

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from countersign import Client
from examples.demo.cast import PASSWORD
from tests.e2e.conftest import sign_in

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

GATED = """
schema: flow/v1
kind: dag
name: gated
title: Gated
steps:
  gate:
    approval:
      title: Go on
      subject: {run: "run.number"}
      stages: [{id: peer, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: P1D, then: reject}
"""


@pytest.fixture
def mara(system):
    with sign_in(system, "mara") as client, sign_in(system, "pia") as publisher:
        version = client.save_version("demo", GATED)
        publisher.publish_version("demo", version["workflow"], version["rev"])
        yield client


def token_of(system, username):
    with Client(system.url, "") as anyone:
        return anyone.create_token(username, PASSWORD)


def open_socket(system, token):
    address = system.url.replace("http", "ws") + "/ws/"
    return connect(address, additional_headers={"Authorization": f"Token {token}"})


def drain(live):
    while True:
        live.recv(timeout=90)


def receive(live, kind):
    while True:
        frame = json.loads(live.recv(timeout=90))
        if frame["type"] == kind:
            return frame


def test_an_approvers_inbox_is_told_of_a_request_and_it_says_only_ids(system, mara):
    with open_socket(system, token_of(system, "ada")["token"]) as live:
        live.send(json.dumps({"subscribe": "inbox"}))
        receive(live, "subscribed")

        mara.start_run("demo", "gated", inputs={})
        signal = receive(live, "signal")

    assert signal["topic"] == "inbox"
    assert not {"title", "subject"} & set(signal)


def test_a_run_signals_those_who_may_see_it_until_it_closes(system, mara):
    with open_socket(system, token_of(system, "mara")["token"]) as live:
        run_id = mara.start_run("demo", "gated", inputs={})["id"]
        live.send(json.dumps({"subscribe": f"run:{run_id}"}))
        receive(live, "subscribed")

        mara.wait_run(run_id, statuses=("WAITING",))
        with sign_in(system, "rex") as operator:
            operator.cancel_run(run_id, reason="enough")

        assert receive(live, "signal")["topic"] == f"run:{run_id}"


def test_a_revoked_token_closes_its_socket(system, mara):
    made = token_of(system, "noor")
    with open_socket(system, made["token"]) as live, Client(system.url, made["token"]) as noor:
        live.send(json.dumps({"subscribe": "inbox"}))
        receive(live, "subscribed")

        noor.revoke_token(made["id"])

        with pytest.raises(ConnectionClosed) as closed:
            drain(live)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401

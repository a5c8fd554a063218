"""Webhooks over HTTP: what a signature lets in, and what becomes of everything else."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from audit import store as ledger
from core.kernel import limits
from engine.models import Firing, Run, Workflow
from engine.services.definitions import publish_version, save_version
from engine.services.triggers import make_secret
from engine.triggers import recording
from engine.triggers.firing import fire_due
from engine.triggers.models import Endpoint, Tally
from tests.integration.engine.threads import at_once

FLOW = """
schema: flow/v1
kind: dag
name: hooked
title: "${{ event.type }} of ${{ event.data.ref }}"
inputs: {type: object, properties: {ref: {type: string}}}
triggers:
- webhook:
    provider: PROVIDER
    filter: "event.data.ref != 'refs/heads/other'"
    inputs: {ref: event.data.ref}
steps: {note: {emit: {type: hook.noted}}}
"""
MAIN = {"ref": "refs/heads/main", "type": "push"}


class Sender:
    """A system that signs what it sends to the webhook of a workflow."""

    def __init__(self, town, provider="github", text=FLOW):
        self.town, self.provider = town, provider
        otto = town.principal("otto")
        save = save_version(
            principal=otto, project_slug=town.slug, source=text.replace("PROVIDER", provider)
        )
        publish_version(
            principal=otto, project_slug=town.slug, workflow_slug="hooked", rev=save.rev
        )
        self.secret = self.rotate()

    def rotate(self, **given):
        return make_secret(
            principal=self.town.principal("petra"),
            project_slug=self.town.slug,
            workflow_slug="hooked",
            name=self.provider,
            **given,
        ).secret

    def headers(self, body, *, secret="", number=1, at=None):
        secret = secret or self.secret
        seconds = str(int(at or time.time()))
        signed = {"standard": f"m{number}.{seconds}.", "hmac": f"{seconds}."}
        content = signed.get(self.provider, "").encode() + body
        key = secret.encode()
        if self.provider == "standard":
            key = base64.b64decode(secret.removeprefix("whsec_"))
        made = hmac.new(key, content, hashlib.sha256)
        if self.provider == "github":
            return {
                "X-Hub-Signature-256": f"sha256={made.hexdigest()}",
                "X-GitHub-Delivery": f"d{number}",
                "X-GitHub-Event": "push",
            }
        if self.provider == "standard":
            signature = base64.b64encode(made.digest()).decode()
            return {
                "webhook-id": f"m{number}",
                "webhook-timestamp": seconds,
                "webhook-signature": f"v1,{signature}",
            }
        return {
            "X-Webhook-Timestamp": seconds,
            "X-Webhook-Signature": f"sha256={made.hexdigest()}",
        }

    def post(self, body, *, headers=None, kind="application/json", slug="hooked", **how):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.town.nobody.client.generic(
            "POST",
            f"/api/v1/hooks/{self.town.slug}/{slug}/{self.provider}/",
            raw,
            content_type=kind,
            headers=self.headers(raw, **how) if headers is None else headers,
        )


@pytest.fixture
def hooked(town, nobody):
    """Return a maker of senders in a town that somebody administers."""
    town.user("petra", "project_admin")
    town.nobody = nobody
    return lambda provider="github", text=FLOW: Sender(town, provider, text)


def started():
    fire_due()
    return [run.title for run in Run.objects.filter(workflow__slug="hooked").order_by("number")]


def recorded(kind):
    workflow = Workflow.objects.get(slug="hooked")
    entries = ledger.read_verified(stream=workflow.pk, limit=1_000)
    assert entries[-1].leaf == bytes(workflow.head)
    return [item for item in entries if item.kind == kind]


@pytest.mark.parametrize("provider", ["github", "standard", "hmac"])
def test_a_signed_request_starts_one_run_however_often_it_comes(hooked, provider):
    sender = hooked(provider)
    raw = json.dumps(MAIN).encode()
    headers = sender.headers(raw)

    answers = [sender.post(raw, headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 200, 200]
    statuses = [answer.json()["status"] for answer in answers]
    assert statuses == ["accepted", "duplicate", "duplicate"]
    assert started() == ["push of refs/heads/main"]
    assert sender.post(raw, headers=headers).json()["status"] == "duplicate"
    assert started() == ["push of refs/heads/main"]


def test_the_record_of_a_run_names_the_delivery_and_keeps_its_body(hooked, town):
    sender = hooked()
    sender.post(MAIN, number=7)
    started()

    run = Run.objects.get(workflow__slug="hooked")
    assert run.initiator.username == "petra", "who made the secret"
    (first,) = ledger.read_stream(stream=run.pk, limit=1)
    assert first.data["trigger"] == {
        "kind": "webhook",
        "position": 0,
        "name": "github",
        "type": "push",
        "event": "d7",
    }
    heard: Any = first.payloads["event"]
    assert heard["data"] == MAIN
    assert first.payloads["inputs"] == {"ref": "refs/heads/main"}
    assert sender.secret not in json.dumps([first.data, first.payloads])


def test_githubs_form_is_read(hooked):
    sender = hooked()
    raw = urlencode({"payload": json.dumps(MAIN)}).encode()

    answer = sender.post(raw, kind="application/x-www-form-urlencoded")

    assert answer.status_code == 202, answer.content
    assert started() == ["push of refs/heads/main"]


def test_what_the_filter_lets_not_through_is_taken_and_starts_nothing(hooked):
    assert hooked().post({"ref": "refs/heads/other"}).status_code == 202
    assert started() == []
    assert not Firing.objects.exists()


def test_a_delivery_of_another_type_is_ignored_and_so_it_stays(hooked):
    sender = hooked(text=FLOW.replace("provider: PROVIDER", "provider: PROVIDER\n    event: ping"))

    assert [sender.post(MAIN).json()["status"] for _ in range(2)] == ["ignored", "duplicate"]
    assert started() == []


@pytest.mark.parametrize("provider", ["github", "standard", "hmac"])
def test_a_wrong_signature_is_refused_and_on_record(hooked, problem, provider):
    sender = hooked(provider)
    raw = json.dumps(MAIN).encode()
    flipped = {
        name: value[:-3] + ("0" if value[-3] != "0" else "1") + value[-2:]
        if "signature" in name.lower()
        else value
        for name, value in sender.headers(raw).items()
    }

    for headers in (flipped, {}):
        problem(sender.post(raw, headers=headers), 401, "engine.hook_refused")
    problem(sender.post(raw + b" ", headers=sender.headers(raw)), 401, "engine.hook_refused")

    faults = [entry.data["fault"] for entry in recorded("trigger.refused")]
    assert faults == ["forged", "unsigned", "forged"]
    assert started() == []


@pytest.mark.parametrize("provider", ["standard", "hmac"])
@pytest.mark.parametrize("off", [-301, 305])
def test_an_old_signature_is_refused_though_it_holds(hooked, problem, provider, off):
    sender = hooked(provider)

    told = problem(sender.post(MAIN, at=time.time() + off), 401, "engine.hook_refused")

    assert "another time" in told["detail"]
    assert [entry.data["fault"] for entry in recorded("trigger.refused")] == ["old"]
    assert started() == []


def test_nobody_learns_from_an_answer_which_workflows_there_are(hooked, problem):
    sender = hooked()
    raw = json.dumps(MAIN).encode()
    wrong = sender.headers(raw, secret="x" * 20)

    there = problem(sender.post(raw, headers=wrong), 401, "engine.hook_refused")
    nowhere = problem(sender.post(raw, headers=wrong, slug="nosuch"), 401, "engine.hook_refused")

    for told in (there, nowhere):
        del told["instance"], told["request_id"]
    assert there == nowhere


@pytest.mark.parametrize(
    "body",
    [
        b"Hello, World!",
        b"",
        b"[1]",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe",
        b'{"a":"\\u0000"}',
    ],
)
def test_a_signed_body_that_is_no_json_map_is_malformed(hooked, problem, body):
    problem(hooked().post(body), 400, "api.malformed")
    assert started() == []


def test_a_signed_body_of_another_kind_is_not_read(hooked, problem):
    problem(hooked().post(MAIN, kind="text/xml"), 415, "api.unsupported_media_type")
    assert started() == []


def test_a_huge_body_is_refused_before_anything_else(hooked, problem):
    sender = hooked()
    body = {**MAIN, "text": "x" * (limits.HOOK_BODY_BYTES_MAX - 100)}

    assert sender.post(body).status_code == 202
    huge = json.dumps({**MAIN, "text": "x" * limits.HOOK_BODY_BYTES_MAX}).encode()
    problem(sender.post(huge, headers={}), 413, "api.body_too_large")
    problem(sender.post(huge, headers={}, slug="nosuch"), 413, "api.body_too_large")
    # Numbers may be longer written out than they came.
    numbers = b'{"ref": "x", "n": [' + b",".join([b"1e20"] * 60_000) + b"]}"
    answer = sender.post(numbers, number=3)
    assert answer.status_code in {413, 422}, answer.content


def test_both_secrets_hold_until_the_overlap_ends(hooked, problem):
    sender = hooked()
    old, new = sender.secret, sender.rotate(overlap_seconds=3600)

    assert sender.post(MAIN, secret=old, number=1).status_code == 202
    assert sender.post(MAIN, secret=new, number=2).status_code == 202
    last = sender.rotate(overlap_seconds=0)
    problem(sender.post(MAIN, secret=new, number=3), 401, "engine.hook_refused")
    problem(sender.post(MAIN, secret=old, number=4), 401, "engine.hook_refused")
    assert sender.post(MAIN, secret=last, number=5).status_code == 202
    row = Endpoint.objects.get()
    for secret in (old, new, last):
        assert secret not in f"{row.sealed} {row.previous_sealed}"


def test_refusals_are_counted_once_there_are_many(hooked, monkeypatch):
    monkeypatch.setattr(limits, "REFUSAL_COUNT_MAX", 3)
    sender = hooked()

    for _ in range(8):
        assert sender.post(MAIN, headers={}).status_code == 401

    assert len(recorded("trigger.refused")) == 3
    assert recording.close_tallies() == 0
    Tally.objects.update(ends_at=Tally.objects.get().since)
    assert recording.close_tallies() == 1
    (entry,) = recorded("trigger.refusals_left_out")
    assert (entry.data["left_out_count"], entry.data["of"]) == (5, "door")
    assert not Tally.objects.exists()


def test_a_sender_that_sends_too_much_is_told_when_to_come_back(hooked, problem, settings):
    settings.API_THROTTLE_RATES = {**settings.API_THROTTLE_RATES, "hook": "2/60"}
    sender = hooked()

    for _ in range(5):
        assert sender.post(MAIN, headers={}).status_code == 401, "strangers use nothing up"
    assert [sender.post(MAIN, number=n).status_code for n in (1, 2)] == [202, 202]
    answer = sender.post(MAIN, number=3)

    problem(answer, 429, "api.throttled")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_secret_is_made_shown_once_and_on_record(hooked, town, problem):
    sender = hooked()
    path = f"workflows/{town.slug}/hooked/triggers/github/secret/"

    made = town.as_("petra").post(path, {"secret": "a secret of our own", "overlap_seconds": 60})

    assert made.status_code == 201, made.content
    assert made.json()["secret"] == "a secret of our own"
    assert made.json()["previous_ends_at"]
    (listed,) = town.as_("petra").get(f"workflows/{town.slug}/hooked/triggers/").json()["triggers"]
    assert "a secret" not in json.dumps(listed)
    assert listed["address"] == f"/api/v1/hooks/{town.slug}/hooked/github/"
    assert sender.post(MAIN, secret="a secret of our own").status_code == 202
    entries = recorded("trigger.secret_made")
    assert [dict(entry.data) for entry in entries] == [
        {"name": "github", "overlap_seconds": 0},
        {"name": "github", "overlap_seconds": 60},
    ]
    problem(town.as_("petra").post(path, {"secret": "short"}), 422, "engine.hook_secret")
    problem(town.as_("mara").post(path, {}), 403, "identity.forbidden")


def test_a_webhook_without_a_secret_takes_nothing(hooked, problem):
    sender = hooked()
    Endpoint.objects.all().delete()

    problem(sender.post(MAIN), 401, "engine.hook_refused")


def test_a_paused_trigger_starts_nothing_until_it_is_resumed(hooked, town):
    sender = hooked()
    path = f"workflows/{town.slug}/hooked/triggers/github/"
    mara = town.as_("mara")

    for _ in range(2):
        assert mara.post(f"{path}pause/", {"reason": "a storm"}).status_code == 204
    assert sender.post(MAIN, number=1).json()["status"] == "ignored"
    (listed,) = mara.get(f"workflows/{town.slug}/hooked/triggers/").json()["triggers"]
    assert listed["enabled"] is False
    assert mara.post(f"{path}resume/", {"reason": "it is over"}).status_code == 204
    assert sender.post(MAIN, number=2).json()["status"] == "accepted"

    assert started() == ["push of refs/heads/main"]
    (paused,), (resumed,) = recorded("trigger.paused"), recorded("trigger.resumed")
    assert (paused.payloads["reason"], resumed.payloads["reason"]) == ("a storm", "it is over")
    assert json.loads(paused.body)["actor"]["id"] == str(town.users["mara"].pk)


def test_the_list_says_which_run_came_last_and_why_none_did(hooked, town):
    sender = hooked()
    sender.post({"ref": 7}, number=1)
    sender.post(MAIN, number=2)
    started()

    (listed,) = town.as_("vera").get(f"workflows/{town.slug}/hooked/triggers/").json()["triggers"]

    run = Run.objects.get(workflow__slug="hooked")
    assert (listed["last_run_id"], listed["last_run_number"]) == (str(run.pk), run.number)
    assert (listed["fired_count"], listed["waiting_count"]) == (1, 0)
    assert listed["refusal"]["code"] == "engine.inputs_invalid"
    assert listed["refusal"]["message"]


@pytest.mark.django_db(transaction=True)
def test_the_same_delivery_from_many_at_once_starts_one_run(committed_town, nobody):
    town = committed_town
    town.user("petra", "project_admin")
    town.nobody = nobody
    sender = Sender(town)
    raw = json.dumps(MAIN).encode()
    headers = sender.headers(raw)

    answers = at_once(*[lambda: sender.post(raw, headers=headers).status_code] * 6)

    assert sorted(answers) == [200] * 5 + [202]
    assert started() == ["push of refs/heads/main"]


def test_no_answer_of_a_hook_is_a_bug(hooked):
    sender = hooked("standard")
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        for value in ("", "\u00e9", "v1,\u00ff", "9" * 400, "v1,====", "\x01"):
            headers = {**sender.headers(b"{}"), name: value}
            assert sender.post(b"{}", headers=headers).status_code == 401, (name, value)

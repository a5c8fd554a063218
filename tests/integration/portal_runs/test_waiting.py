"""What a step waits for, on the page and in the API; and the runs around a run."""

import json
import re
from datetime import timedelta

import pytest
from django.utils.timezone import now

from core.identity.services.roles import assign_role
from engine.domain.circuit import Circuit as CircuitState
from engine.domain.circuit import circuit_to_json
from engine.domain.plan import AfterError, OnError, Step, Uses
from engine.driver import DriveEnd
from engine.external.claiming import claim_tasks
from engine.external.ending import extend_claim
from engine.models import Circuit, Run, Task, Workflow
from engine.services.events import deliver_event, publish
from engine.services.reporting import report_child
from tests.integration.portal_runs.conftest import call, text, words

LOCKED = """\
schema: flow/v1
kind: dag
name: locked
title: "Print ${{ inputs.n }}"
inputs: {type: object, properties: {n: {type: integer}}}
steps:
  alone:
    mutex: "printer-${{ inputs.n }}"
    steps:
      pause: {wait: {event: {type: go, correlate: {run: run.id}}}}
"""
CHILD = """\
schema: flow/v1
kind: dag
name: child
title: Secret child
steps:
  hear: {wait: {event: {type: go, correlate: {run: run.id}}}}
"""
PARENT = """\
schema: flow/v1
kind: dag
name: parent
title: Parent
steps:
  each:
    map: {items: "[1, 2]", as: n}
    call: child@*
"""
ROUND = """\
schema: flow/v1
kind: states
name: round
vars: {n: 0}
initial: work
states:
  work:
    uses: python/call@1
    with: {function: p.ok}
    transitions: [{on-success: true, to: rest, set: {n: vars.n + 1}}]
  rest:
    transitions:
      - {event: more, to: work, continue-as-new: true}
      - {after: P3D, to: done}
    events: [{event: more, correlate: {run: run.id}}]
  done: {final: true}
"""
SLEEPY = """\
schema: flow/v1
kind: dag
name: sleepy
steps:
  nap: {wait: {timer: PT2H}}
  poll:
    loop: {until: "false", max-iterations: 3, delay: PT10M}
    uses: python/call@1
    with: {function: p.ok}
"""


def drive(yard, *run_ids):
    for run_id in run_ids:
        while yard.hand.drive(run_id) is DriveEnd.RELEASED:
            pass


def start(yard, slug, **inputs):
    run_id = yard.start(slug, by="mara", inputs=inputs).run_id
    drive(yard, run_id)
    return run_id


def send(yard, type_, **data):
    """Send an event and move whoever waits for it."""
    sent = publish(
        project_id=yard.project.pk,
        event_type=type_,
        data=data,
        origin=yard.principal("mara").origin,
    )
    deliver_event(event_id=sent.event_id, limit=10)
    drive(yard, *Run.objects.filter(status="READY").values_list("pk", flat=True))


def show(yard, run_id, query="", *, who="vera"):
    return words(yard.browse(who).get(f"/runs/{run_id}/?{query}"))


def ask(yard, run_id, path="", *, who="vera"):
    answer = yard.browse(who).get(f"/api/v1/runs/{run_id}/{path}")
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def steps_of(yard, run_id, **who):
    return {step["key"]: step for step in ask(yard, run_id, **who)["steps"]}


# --- gates ---------------------------------------------------------------------------------------


@pytest.fixture
def locked(yard):
    """Return two runs: the first holds a mutex that the second waits for."""
    yard.save(LOCKED)
    return start(yard, "locked", n=7), start(yard, "locked", n=7)


def test_a_held_step_names_its_mutex_and_who_has_it(yard, locked):
    first, second = locked

    page = yard.browse("vera").get(f"/runs/{second}/?step=alone")
    number = Run.objects.get(pk=first).number

    assert f"Waits for the mutex “printer-7”, held by run {number}" in words(page)
    assert "in its step Alone" in words(page)
    assert f'<a href="/runs/{first}/" title="Print 7">' in text(page)
    assert "Waits for mutex printer-7" in words(page)  # as the run's status
    assert "The mutex “printer-7” holds back Alone" in show(yard, second, "tab=events")
    assert "Alone got the mutex “printer-7”" in show(yard, first, "tab=events")
    assert "holds “printer-7”" in show(yard, first, "step=alone")


def test_the_api_says_who_has_a_mutex(yard, locked):
    first, second = locked

    (wait,) = steps_of(yard, second)["alone#1"]["waits_for"]

    assert (wait["kind"], wait["name"], wait["run_step"]) == ("mutex", "printer-7", "alone#1")
    assert wait["run"]["id"] == str(first)
    assert wait["run"]["title"] == "Print 7"
    assert steps_of(yard, first)["alone#1"]["mutex"] == "printer-7"


def test_who_may_not_see_the_holder_learns_only_that_there_is_one(yard, locked):
    first, second = locked
    other = yard.save(LOCKED.replace("name: locked", "name: other"))
    assert other
    third = start(yard, "other", n=7)
    yard.user("olga")
    scope = Workflow.objects.get(slug="other").scope_id
    role = {"principal": yard.system, "role": "viewer", "scope_id": scope}
    assign_role(**role, user_id=yard.users["olga"].pk)

    page = yard.browse("olga").get(f"/runs/{third}/?step=alone")
    (wait,) = steps_of(yard, third, who="olga")["alone#1"]["waits_for"]

    assert "held by a run that you may not see" in words(page)
    assert str(first) not in text(page)
    assert (wait["run"], wait["run_step"]) == (None, "")
    assert str(first) not in json.dumps(ask(yard, third, who="olga"))
    assert str(second) not in text(page)


def test_a_step_of_the_same_run_that_has_the_mutex_is_named_and_linked(yard):
    steps = LOCKED.partition("steps:\n")[2]
    yard.save(LOCKED + steps.replace("alone", "next").replace("pause", "later"))
    run_id = start(yard, "locked", n=7)

    page = yard.browse("vera").get(f"/runs/{run_id}/?step=next")

    assert "Waits for the mutex “printer-7”, held by Alone" in words(page)
    assert '<a href="?step=alone" data-nav>Alone</a>' in text(page)


def test_an_open_circuit_says_until_when(yard):
    until = now() + timedelta(minutes=5)
    circuit = {"key": "bank", "failures": 1, "window": "PT1M", "cool-down": "PT5M"}
    source = f"""\
schema: flow/v1
kind: dag
name: pay
steps:
  pay: {{uses: python/call@1, with: {{function: p.ok}}, circuit: {json.dumps(circuit)}}}
"""
    yard.save(source)
    state = circuit_to_json(CircuitState(open_until=until))
    Circuit.objects.create(project=yard.project, name="bank", state=state, idle_at=until)

    run_id = start(yard, "pay")

    (wait,) = steps_of(yard, run_id)["pay#1"]["waits_for"]
    assert (wait["kind"], wait["name"]) == ("circuit", "bank")
    assert wait["until"] == until.isoformat().replace("+00:00", "Z")
    assert "The circuit “bank” is open: it is asked again in 4 min" in show(yard, run_id)


# --- time, events, people, queues ----------------------------------------------------------------


def test_a_step_that_sleeps_says_until_when_and_a_loop_when_it_goes_on(yard):
    yard.save(SLEEPY)
    run_id = start(yard, "sleepy")

    steps = steps_of(yard, run_id)
    said = show(yard, run_id, "step=nap")

    assert [wait["kind"] for wait in steps["nap#1"]["waits_for"]] == ["timer"]
    assert [wait["kind"] for wait in steps["poll#1"]["waits_for"]] == ["turn"]
    assert steps["poll#1"]["progress"]["begun"] == 1
    assert re.search(r"Sleeps, and goes on in (1 h 59 min|2 h) \(20\d\d-", said)
    assert "The next turn begins in" in show(yard, run_id, "step=poll")
    assert "turn 1 of at most 3" in show(yard, run_id, "step=poll")


def test_an_awaited_event_is_named_with_what_it_must_hold(yard):
    yard.save(CHILD)
    run_id = start(yard, "child")

    (wait,) = steps_of(yard, run_id)["hear#1"]["waits_for"]

    assert (wait["kind"], wait["name"], wait["correlate"]) == ("event", "go", {"run": str(run_id)})
    said = show(yard, run_id)
    assert f"Waits for the event “go”, where run is {run_id}" in said
    assert "Waits for an event" in said  # as the step's status, which is no hourglass
    assert "Waiting for 1 approval" not in said


def test_a_question_leads_to_where_it_is_answered(yard):
    yard.play(call("a", does="p.boom", on_error=OnError(then=AfterError.ASK)), name="asks")
    run_id = Run.objects.get(workflow__slug="asks").pk

    page = yard.browse("vera").get(f"/runs/{run_id}/")

    assert "A person says what becomes of the error" in words(page)
    assert "A person is asked what becomes of A" in show(yard, run_id, "tab=events")
    assert 'href="/inbox/' in text(yard.browse("rex").get(f"/runs/{run_id}/"))


def test_a_queue_is_named_until_a_worker_takes_the_step(yard):
    yard.play(call("a", queue="gpu"), name="queued")
    run_id = Run.objects.get(workflow__slug="queued").pk

    assert "Waits for a worker of the queue “gpu”" in show(yard, run_id)
    assert "handed A to the queue gpu" in show(yard, run_id, "tab=events")
    Task.objects.update(status="claimed", worker=yard.hand.worker)

    assert "Waits for a worker" not in show(yard, run_id)
    assert steps_of(yard, run_id)["a#1"]["waits_for"] == []


def test_a_topic_is_named_and_then_who_does_the_task(yard):
    verb = Uses(action="external/task@1", arguments={"topic": "scans", "data": 1})
    yard.play(Step(id="a", verb=verb), name="outside")
    run_id = Run.objects.get(workflow__slug="outside").pk
    yard.user("wes", "worker")

    assert "Waits for a worker of the topic “scans”" in show(yard, run_id)
    assert "put A up for workers of the topic scans" in show(yard, run_id, "tab=events")
    (handed,) = claim_tasks(
        principal=yard.principal("wes"),
        project_slug=yard.slug,
        topics=["scans"],
        worker="host 7",
        count=1,
        lease_seconds=60,
    )

    assert "Held by the worker “host 7” since" in show(yard, run_id)
    assert "The worker “host 7” took A" in show(yard, run_id, "tab=events")
    (wait,) = steps_of(yard, run_id)["a#1"]["waits_for"]
    assert (wait["kind"], wait["name"], wait["worker"]) == ("topic", "scans", "host 7")
    assert wait["since"] is not None
    extended = extend_claim(principal=yard.principal("wes"), task_id=handed.id, token=handed.token)
    assert extended.lease_until > handed.lease_until


# --- runs around ---------------------------------------------------------------------------------


@pytest.fixture
def family(yard):
    """Return a run and the two runs it called."""
    yard.save(CHILD)
    yard.save(PARENT)
    parent = start(yard, "parent")
    children = list(
        Run.objects.filter(parent=parent).order_by("parent_key").values_list("pk", flat=True)
    )
    drive(yard, *children)
    return parent, children


def test_a_calling_run_and_the_runs_it_called_lead_to_each_other(yard, family):
    parent, (first, _) = family
    numbers = dict(Run.objects.values_list("pk", "number"))

    page = yard.browse("vera").get(f"/runs/{parent}/?step=each/item")
    below = yard.browse("vera").get(f"/runs/{first}/")

    assert f"Waits for the end of run {numbers[first]}" in words(page)
    assert f'href="/runs/{first}/"' in text(page)
    assert f"Called by run {numbers[parent]}" in words(below)
    assert "in its step Each, item 1" in words(below)
    assert f'href="/runs/{parent}/"' in text(below)
    events = yard.browse("vera").get(f"/runs/{parent}/?tab=events")
    assert f"called child@* : run {numbers[first]} " in words(events)


def test_the_api_names_the_runs_around(yard, family):
    parent, children = family

    below, above = ask(yard, children[1]), steps_of(yard, parent)

    assert below["parent"]["id"] == str(parent)
    assert below["parent"]["workflow"] == "parent"
    assert below["parent_step"] == "each#1/item#2"
    assert (below["predecessor"], below["successor"]) == (None, None)
    step = above["each#1/item#2"]
    assert step["child"] == str(children[1])
    assert step["waits_for"][0]["run"]["title"] == "Secret child"


def test_a_run_that_somebody_may_not_see_is_named_without_a_link(yard, family):
    parent, (first, second) = family
    yard.user("olga")
    scope = Workflow.objects.get(slug="parent").scope_id
    role = {"principal": yard.system, "role": "viewer", "scope_id": scope}
    assign_role(**role, user_id=yard.users["olga"].pk)
    browser = yard.browse("olga")

    for query in ("step=each/item", "tab=events"):
        page = browser.get(f"/runs/{parent}/?{query}")
        assert "a run that you may not see" in words(page)
        assert f'href="/runs/{first}/"' not in text(page)
        assert "Secret child" not in text(page)
    shown = steps_of(yard, parent, who="olga")["each#1/item#1"]["waits_for"][0]["run"]
    assert shown == {
        "id": str(first),
        **dict.fromkeys(("number", "project", "workflow", "title", "status", "outcome")),
    }
    assert browser.get(f"/runs/{second}/").status_code == 404


def test_the_end_of_a_called_run_is_told(yard, family):
    parent, (first, _) = family
    send(yard, "go", run=str(first))
    assert report_child(child_id=first) or Run.objects.get(pk=first).parent_reported
    drive(yard, parent)

    said = show(yard, parent, "tab=events")

    assert "The run that Each, item 1 of 2: 1 called ended: succeeded" in said
    assert "Called" in show(yard, parent, "step=each/item")


@pytest.fixture
def continued(yard):
    """Return a run that will end as continued as soon as it hears of more."""
    yard.save(ROUND)
    return start(yard, "round")


def test_runs_that_continue_each_other_lead_to_each_other(yard, continued):
    send(yard, "more", run=str(continued))
    after = Run.objects.get(predecessor=continued)
    numbers = dict(Run.objects.values_list("pk", "number"))

    first, second = show(yard, continued), show(yard, after.pk)

    assert "Continued" in first
    assert f"Continued as run {numbers[after.pk]}" in first
    assert f"Continues run {numbers[continued]}" in second
    told = show(yard, continued, "tab=events")
    assert "The run ended as continued: another one goes on in its place" in told
    assert f"in its place: run {numbers[after.pk]} " in told
    assert "The run began in the state Work" in show(yard, after.pk, "tab=events")
    assert ask(yard, continued)["successor"]["id"] == str(after.pk)
    assert ask(yard, after.pk)["predecessor"]["number"] == numbers[continued]


def test_runs_that_continued_are_found_in_lists(yard, continued):
    send(yard, "more", run=str(continued))
    browser = yard.browse("vera")

    page = browser.get("/runs/?state=continued")
    listed = json.loads(browser.get("/api/v1/runs/?outcome=continued").content)["items"]

    assert f'href="/runs/{continued}/"' in text(page)
    assert text(page).count("data-row>") == 1
    assert "Continued as another run" in words(page)
    assert [item["id"] for item in listed] == [str(continued)]


def test_a_state_says_what_ends_it(yard, continued):
    (wait, left) = steps_of(yard, continued)["rest#1"]["waits_for"]

    assert (wait["kind"], wait["name"]) == ("event", "more")
    assert (left["kind"], left["name"]) == ("state", "done")
    said = show(yard, continued, "step=rest")
    assert f"Waits for the event “more”, where run is {continued}" in said
    assert "Goes to Done by itself in 2 d 23 h" in said
    assert "Waits for an event" in said


def test_the_list_of_runs_says_what_each_waits_for(yard, locked, family):
    browser = yard.browse("vera")

    found = re.findall(
        r'<tr id="run-([^"]+)".*?class="status-cell">(.*?)</td>',
        text(browser.get("/runs/")),
        re.DOTALL,
    )

    said = {key: re.sub(r"<[^>]+>", "", chip).strip() for key, chip in found}
    parent, children = family
    assert said == {
        str(locked[0]): "Waits for an event",
        str(locked[1]): "Waits for a mutex",
        str(parent): "Waits for a run",
        **dict.fromkeys(map(str, children), "Waits for an event"),
    }
    assert 's-waiting"' not in "".join(chip for _, chip in found)


def test_events_are_narrowed_to_what_holds_back_wakes_or_reaches_a_step(yard, locked, continued):
    _, second = locked
    send(yard, "more", run=str(continued))

    held = show(yard, second, "tab=events&of=alone")
    heard = show(yard, continued, "tab=events&of=rest")

    assert "The mutex “printer-7” holds back Alone" in held
    assert "The run was started" not in held
    assert "The run heard of “more” while it was in Rest" in heard
    assert "A worker took the run, turn 2" not in heard


def test_a_panel_tells_what_happened_to_its_step(yard, continued):
    send(yard, "more", run=str(continued))

    page = yard.browse("vera").get(f"/runs/{continued}/?step=rest")

    told = text(page).partition('<ol class="story">')[2].partition("</ol>")[0]
    said = re.findall(r"data-nav>([^<]+)</a>", told)
    assert said == [
        "The run heard of “more” while it was in Rest",
        "While it is in Rest, the run listens for “more”",
    ]
    assert 'href="?step=rest&amp;tab=events&amp;of=rest"' in text(page)

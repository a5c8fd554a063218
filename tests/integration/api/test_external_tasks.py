"""External tasks over HTTP: claimed once, fenced, ended once, and whatever comes late is kept."""

import pytest

from audit import store as ledger
from audit.domain.entry import read_entry
from core.identity.models import RoleAssignment
from core.identity.services.roles import revoke_assignment
from core.identity.services.tokens import create_token
from core.kernel import limits
from engine import remote
from engine.driver import DriveEnd
from engine.external import ending
from engine.models import Claim, Run, Task
from engine.services.definitions import publish_version, save_version
from engine.services.runs import cancel_run
from tests.world import fold

HEAD = """
schema: flow/v1
kind: dag
name: job
title: Job
inputs: {type: object, properties: {topic: {type: string, default: scans}}}
steps:
"""
SCAN = """
  scan:
    uses: external/task@1
    with: {topic: "${{ inputs.topic }}", data: {image: "a:1"}}
    outputs: {found: "result.found"}
"""


@pytest.fixture
def flow(town):
    """Publish a definition; there is a worker with the role of that name."""
    if "wes" not in town.users:
        town.user("wes", "worker")
        town.user("wim", "worker")

    def publish(steps=SCAN):
        saved = save_version(
            principal=town.principal("otto"), project_slug=town.slug, source=f"{HEAD}{steps}"
        )
        publish_version(
            principal=town.principal("otto"),
            project_slug=town.slug,
            workflow_slug="job",
            rev=saved.rev,
        )

    return publish


@pytest.fixture
def started(town, flow):
    """Start a run of a definition, and let it wait for a program."""

    def start(steps=SCAN, **inputs):
        flow(steps)
        run_id = town.start("job", by="mara", inputs=inputs).run_id
        assert town.hand.drive(run_id) is DriveEnd.PARKED
        return run_id

    return start


@pytest.fixture
def claim(town):
    """Claim tasks over HTTP."""

    def claim(who="wes", topics=("scans",), **more):
        body = {"project": town.slug, "topics": list(topics), "worker": "w-1", **more}
        response = town.as_(who).post("external-tasks/claim/", body)
        assert response.status_code == 200, response.content
        return response.json()["tasks"]

    return claim


@pytest.fixture
def tell(town):
    """Tell something of a task over HTTP."""

    def tell(verb, task, who="wes", **body):
        body = {"token": task["token"], **body}
        return town.as_(who).post(f"external-tasks/{task['id']}/{verb}/", body)

    return tell


def kinds(run_id):
    return [entry.kind for entry in ledger.read_stream(stream=run_id, limit=99)]


def entry(run_id, kind):
    return next(item for item in ledger.read_stream(stream=run_id, limit=99) if item.kind == kind)


def forget(task, *, column="lease_until"):
    """Let the lease of a claim, or the time of its attempt, be over."""
    assert column in {"lease_until", "deadline_at"}
    Claim.objects.filter(pk=task["id"]).update(**{column: "2020-01-01T00:00:00Z"})


def test_a_task_is_claimed_done_and_its_result_goes_on(town, started, claim, tell):
    run_id = started()

    (task,) = claim()
    assert (task["topic"], task["data"], task["step"]) == ("scans", {"image": "a:1"}, "scan")
    assert task["idempotency_key"] == f"{run_id}:scan#1:1"
    assert Run.objects.get(pk=run_id).status == "WAITING"
    assert tell("heartbeat", task).status_code == 200
    answer = tell("complete", task, result={"found": 3})

    assert answer.json() == {"id": task["id"], "status": "completed", "replayed": False}
    assert Run.objects.get(pk=run_id).status == "READY"
    assert town.hand.drive(run_id) is DriveEnd.CLOSED
    assert Run.objects.get(pk=run_id).outcome == "succeeded"
    assert fold(run_id).steps["scan#1"].outputs == {"found": 3}
    assert not Task.objects.exists()


def test_who_claimed_and_who_did_it_is_on_the_record(town, started, claim, tell):
    run_id = started()
    (task,) = claim(worker="host 7")
    tell("complete", task, result={"found": 0})
    town.hand.drive(run_id)

    claimed, done = entry(run_id, "attempt.claimed"), entry(run_id, "step.completed")
    wes = str(town.users["wes"].pk)
    assert read_entry(claimed.body).actor.id == wes
    assert {**claimed.data, "worker": "host 7", "topic": "scans"} == dict(claimed.data)
    assert (done.data["worker"], done.data["account"]) == ("host 7", wes)
    assert "token" not in str(claimed.data)


def test_one_task_is_claimed_by_one(town, started, claim):
    started()

    assert len(claim()) == 1
    assert claim() == claim(who="wim") == []


def test_a_claim_takes_as_many_as_it_asks_for_and_only_its_topics(started, claim):
    started(
        """
  many:
    map: {items: "[1, 2, 3]", as: item}
    uses: external/task@1
    with: {topic: scans, data: "${{ item }}"}
  other:
    uses: external/task@1
    with: {topic: prints}
"""
    )

    first, rest = claim(max=2), claim(max=10)
    assert (len(first), len(rest)) == (2, 1)
    assert sorted(task["data"] for task in [*first, *rest]) == [1, 2, 3]
    assert [task["topic"] for task in claim(topics=["nothing", "prints"], max=5)] == ["prints"]


def test_tasks_of_another_project_are_nobodys_business(town, started, claim, problem):
    started()
    town.user("eve")

    refused = town.as_("eve").post(
        "external-tasks/claim/", {"project": town.slug, "topics": ["scans"], "worker": "w"}
    )

    problem(refused, 404, "engine.project_missing")
    assert len(claim()) == 1


def test_who_sees_the_project_but_may_do_no_tasks_is_refused(town, started, problem):
    started()
    body = {"project": town.slug, "topics": ["scans"], "worker": "w"}

    for who in ("vera", "mara"):  # neither looking nor operating is doing
        refused = problem(
            town.as_(who).post("external-tasks/claim/", body), 403, "identity.forbidden"
        )
        assert refused["permission"] == "execute_task"


def test_a_token_that_leaves_the_permission_out_claims_nothing(town, started, problem):
    started()
    _, secret = create_token(
        principal=town.principal("wes"), name="narrow", permissions=["view_project"]
    )
    town.callers["narrow"] = type(town.as_("wes"))(secret)
    body = {"project": town.slug, "topics": ["scans"], "worker": "w"}

    problem(town.as_("narrow").post("external-tasks/claim/", body), 403, "identity.forbidden")


def test_completing_twice_is_answered_as_the_first_time(town, started, claim, tell, problem):
    run_id = started()
    (task,) = claim()
    tell("complete", task, result={"found": 1})

    again = tell("complete", task, result={"found": 1})
    assert again.json() == {"id": task["id"], "status": "completed", "replayed": True}
    problem(tell("complete", task, result={"found": 2}), 409, "engine.task_ended")
    problem(tell("fail", task, message="no"), 409, "engine.task_ended")
    problem(tell("heartbeat", task), 409, "engine.task_ended")

    town.hand.drive(run_id)
    assert tell("complete", task, result={"found": 1}).json()["replayed"] is True
    assert kinds(run_id).count("step.completed") == 1


@pytest.mark.parametrize("verb", ["heartbeat", "complete", "fail"])
def test_the_task_of_another_is_refused_and_that_is_on_record(
    verb, town, started, claim, tell, problem
):
    started()
    (task,) = claim()
    body = {"message": "x"} if verb == "fail" else {}

    problem(tell(verb, task, who="wim", **body), 403, "identity.forbidden")
    stolen = {**task, "token": "00000000-0000-4000-8000-000000000000"}
    problem(tell(verb, stolen, **body), 403, "identity.forbidden")
    problem(tell(verb, task, who="stan", **body), 404, "engine.task_missing")
    unknown = {**task, "id": "00000000-0000-4000-8000-000000000000"}
    problem(tell(verb, unknown, **body), 404, "engine.task_missing")

    assert Claim.objects.get().status == "held"


def test_a_silent_program_loses_its_task_to_the_next_attempt(town, started, claim, tell, problem):
    run_id = started()
    (task,) = claim()
    forget(task)

    assert ending.sweep_claims() == 1
    town.hand.drive(run_id)
    assert "attempt.lost" in kinds(run_id)
    (again,) = claim(who="wim")
    assert (again["attempt"], again["idempotency_key"]) == (2, task["idempotency_key"])
    assert again["id"] != task["id"]

    problem(tell("heartbeat", task), 410, "engine.task_gone")
    problem(tell("complete", task, result={"found": 1}), 410, "engine.task_gone")
    problem(tell("complete", task, result={"found": 1}), 410, "engine.task_gone")
    assert tell("complete", again, who="wim", result={"found": 2}).status_code == 200
    town.hand.drive(run_id)

    kept = entry(run_id, "attempt.late")
    assert (kept.data["attempt"], kept.payloads["result"]) == (1, {"found": 1})
    assert kinds(run_id).count("attempt.late") == 1
    assert fold(run_id).steps["scan#1"].outputs == {"found": 2}


def test_an_attempt_whose_time_is_over_failed_whatever_its_program_says(
    town, started, claim, tell, problem
):
    run_id = started(SCAN + "    timeout: PT5M\n    retry: {max: 0}\n")
    (task,) = claim()
    forget(task, column="deadline_at")
    problem(tell("heartbeat", task), 410, "engine.task_gone")
    problem(tell("complete", task, result={"found": 1}), 410, "engine.task_gone")
    forget(task)

    assert ending.sweep_claims() == 1
    town.hand.drive(run_id)

    failed = entry(run_id, "attempt.failed")
    assert failed.data["error"] == "timeout"
    assert Run.objects.get(pk=run_id).outcome == "failed"


def test_a_task_waits_for_its_program_without_losing_time(town, started, claim, tell):
    run_id = started(SCAN + "    timeout: PT1S\n")
    Task.objects.update(due_at="2020-01-01T00:00:00Z")

    assert remote.sweep_tasks() == 0
    assert town.hand.drive(run_id) is DriveEnd.NOT_FREE
    assert Task.objects.get().status == "open"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"message": "busy", "retryable": True}, "transient"),
        ({"message": "broken"}, "permanent"),
        ({"message": "odd", "kind": "scanner.odd"}, "scanner.odd"),
    ],
)
def test_what_failed_is_tried_again_as_the_step_says(body, kind, town, started, claim, tell):
    run_id = started(
        SCAN + "    retry: {max: 1, initial: PT0S, errors: [transient, scanner.odd]}\n"
    )
    (task,) = claim()
    assert tell("fail", task, **body).json()["status"] == "failed"
    assert tell("fail", task, **body).json()["replayed"] is True

    town.hand.drive(run_id)

    failed = entry(run_id, "attempt.failed")
    assert (failed.data["error"], failed.payloads["message"]) == (kind, body["message"])
    assert len(claim()) == (0 if kind == "permanent" else 1)


def test_a_cancelled_run_tells_its_program_and_gives_out_nothing(
    town, started, claim, tell, problem
):
    run_id = started(
        """
  one: {uses: external/task@1, with: {topic: scans}}
  two: {uses: external/task@1, with: {topic: scans}}
"""
    )
    (task,) = claim()
    cancel_run(principal=town.principal("mara"), run_id=run_id, reason="enough")

    assert claim() == []
    problem(tell("heartbeat", task), 409, "engine.task_cancelled")
    town.hand.drive(run_id)
    assert tell("fail", task, message="stopped", kind="cancelled").status_code == 200
    assert tell("fail", task, message="stopped", kind="cancelled").json()["replayed"] is True
    town.hand.drive(run_id)

    assert Run.objects.get(pk=run_id).outcome == "cancelled"
    assert "attempt.failed" not in kinds(run_id)


def test_the_loser_of_a_race_tells_its_program(town, started, claim, tell, problem):
    run_id = started(
        """
  fastest:
    race:
      - {id: first, uses: external/task@1, with: {topic: scans}}
      - {id: second, uses: external/task@1, with: {topic: prints}}
"""
    )
    (winner,), (loser,) = claim(), claim(topics=["prints"])
    tell("complete", winner)
    town.hand.drive(run_id)

    problem(tell("heartbeat", loser), 409, "engine.task_cancelled")
    assert tell("complete", loser).status_code == 200
    town.hand.drive(run_id)
    assert Run.objects.get(pk=run_id).outcome == "succeeded"


def test_a_result_that_cannot_be_kept_is_refused_and_the_task_stays(
    town, started, claim, tell, problem
):
    started()
    (task,) = claim()

    for result in ("x" * (limits.PAYLOAD_BYTES_MAX + 1), 2**60, {"a": [1e17]}):
        problem(tell("complete", task, result=result), 422, "engine.task_result_invalid")
    refused = town.as_("wes").client.post(
        f"/api/v1/external-tasks/{task['id']}/complete/",
        f'{{"token": "{task["token"]}", "result": NaN}}',
        content_type="application/json",
    )
    problem(refused, 400, "api.malformed")

    assert tell("complete", task, result={"found": 1}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"topics": []},
        {"topics": ["no spaces"]},
        {"topics": ["x" * 51]},
        {"topics": ["scans\n"]},
        {"worker": ""},
        {"worker": "a\nb"},
        {"max": 0},
        {"max": 11},
        {"wait_seconds": 31},
        {"lease_seconds": 4},
        {"lease_seconds": "60"},
        {"unknown": 1},
    ],
)
def test_a_claim_that_breaks_a_bound_is_refused(body, town, flow, problem):
    flow()
    sound = {"project": town.slug, "topics": ["scans"], "worker": "w"}

    problem(
        town.as_("wes").post("external-tasks/claim/", {**sound, **body}), 422, "api.invalid_input"
    )


def test_a_topic_that_cannot_be_fails_the_step(town, flow):
    flow()
    run_id = town.start("job", by="mara", inputs={"topic": "no spaces"}).run_id

    assert town.hand.drive(run_id) is DriveEnd.CLOSED
    assert entry(run_id, "attempt.failed").data["error"] == "invalid"


def test_a_compensation_may_be_an_external_task(town, started, claim, tell):
    run_id = started(
        """
  book:
    uses: external/task@1
    with: {topic: scans}
    compensate:
      uses: external/task@1
      with: {topic: undo, data: "${{ steps.book.outputs.result }}"}
  fails:
    needs: [book]
    uses: external/task@1
    with: {topic: scans}
    retry: {max: 0}
"""
    )
    (task,) = claim()
    tell("complete", task, result={"booking": 7})
    town.hand.drive(run_id)
    (task,) = claim()
    tell("fail", task, message="no")
    town.hand.drive(run_id)

    (undo,) = claim(topics=["undo"])
    assert undo["data"] == {"booking": 7}
    tell("complete", undo)
    town.hand.drive(run_id)
    assert Run.objects.get(pk=run_id).outcome == "failed"
    assert fold(run_id).steps["compensate/book#1"].outcome == "succeeded"


def test_a_step_says_how_long_its_program_may_be_silent(started, claim):
    started(SCAN + "    heartbeat: PT20S\n")

    (task,) = claim(lease_seconds=600)

    assert task["lease_seconds"] == 20


def test_a_lease_never_outlasts_the_time_of_the_attempt(started, claim):
    started(SCAN + "    timeout: PT30S\n")

    (task,) = claim(lease_seconds=600)

    assert task["lease_until"] == task["deadline_at"]


def test_claims_that_ended_long_ago_are_forgotten(started, claim, tell):
    started()
    (task,) = claim()
    tell("complete", task, result={"found": 1})
    assert ending.sweep_claims() == 0
    Claim.objects.update(ended_at="2020-01-01T00:00:00Z")

    assert ending.sweep_claims() == 1
    assert not Claim.objects.exists()


def test_a_claim_costs_a_bounded_number_of_statements(
    started, claim, django_assert_max_num_queries
):
    started()

    with django_assert_max_num_queries(30):
        claim()


def test_the_role_ends_what_a_program_may_do(town, started, claim, tell, problem):
    started()
    (task,) = claim()
    (assignment,) = RoleAssignment.objects.filter(user=town.users["wes"])
    revoke_assignment(principal=town.system, assignment_id=assignment.pk)

    problem(tell("complete", task, result={}), 404, "engine.task_missing")

"""Secrets of whole runs on a real database: they reach the action, and nothing else."""

import base64
import io
import json
import logging
import time
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit import store as ledger
from core.settings.env import LogFormat, LogLevel
from core.settings.logs import logging_settings
from core.toolkit import log_masking
from core.toolkit.sealing import derive_key
from countersign import TransientError, current_attempt, function
from engine import loading, remote
from engine.models import Run, Task
from engine.secrets.models import Secret
from engine.services.secrets import delete_secret, set_secret
from engine.worker import WorkerProcess
from tests.integration.engine.field import Field, error_of, made_by, outcome
from tests.integration.engine.keeping import VALUE, assert_nowhere, keep
from tests.world import World, fold

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "another-project's value"
GIVEN: list[dict[str, object]] = []


@function("s.take")
def _take(**arguments):
    GIVEN.append(arguments)
    return arguments


@function("s.fails")
def _fails(*, token, **_):
    GIVEN.append({"token": token})
    raise ValueError(f"{token!r} was refused, see https://x/?t={quote(token)}")


@function("s.transient")
def _transient(*, token, **_):
    GIVEN.append({"token": token})
    raise TransientError(f"try later with {token}")


@function("s.says")
def _says(*, token, **_):
    current_attempt().heartbeat({"said": token})
    logging.getLogger("somebody.else").warning("used %s", token)
    return {token: [base64.b64encode(f"user:{token}".encode()).decode(), json.dumps(token)]}


@pytest.fixture
def field():
    loading.forget_all()
    log_masking.forget_all()
    GIVEN.clear()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.user("ada", "project_admin")
    made = Field(world)
    keep(made, "TOKEN", VALUE)
    yield made
    log_masking.forget_all()


FLOW = """
    schema: flow/v1
    kind: dag
    name: uses_it
    secrets: [TOKEN]
    inputs: {type: object}
    steps:
      a:
        uses: python/call@1
        with:
          function: %s
          token: "${{ secrets.TOKEN }}"
          header: "Bearer ${{ secrets.TOKEN }} for ${{ inputs.who }}"
          who: "${{ inputs.who }}"
    outputs: {result: steps.a.outputs.result}
    """


def test_a_function_gets_the_value_and_the_record_has_none(field):
    field.publish(FLOW % "s.take")

    run = field.start("uses_it", who="mara")

    assert outcome(run) == "succeeded"
    assert [{"token": VALUE, "header": f"Bearer {VALUE} for mara", "who": "mara"}] == GIVEN
    assert made_by(run) == {
        "result": {"token": "***", "header": "Bearer *** for mara", "who": "mara"}
    }
    assert_nowhere(VALUE)


@pytest.mark.parametrize(
    "forged", ["${{ secrets.TOKEN }}", [{"secret": "TOKEN"}], {"secret": "TOKEN"}]
)
def test_an_input_that_looks_like_a_secret_stays_what_it_is(field, forged):
    field.publish(FLOW % "s.take")

    run = field.start("uses_it", who=forged)

    assert outcome(run) == "succeeded"
    assert GIVEN[0]["who"] == forged
    assert str(GIVEN[0]["header"]).startswith(f"Bearer {VALUE} for ")
    assert str(GIVEN).count(VALUE) == 2


@pytest.mark.parametrize("name", ["s.fails", "s.transient"])
def test_an_error_message_is_masked(field, name, caplog):
    field.publish(FLOW % name)

    run = field.start("uses_it", who="x")

    assert outcome(run) == "failed"
    assert GIVEN[0]["token"] == VALUE
    error = fold(run.pk).steps["a#1"].error
    assert error is not None
    assert "***" in error.message
    assert "hunter2" not in error.message
    assert_nowhere(VALUE, quote(VALUE))


def test_keys_encodings_and_numbers_of_a_result_are_masked(field):
    field.publish(FLOW % "s.says")

    run = field.start("uses_it", who="x")

    assert outcome(run) == "succeeded"
    result = made_by(run)["result"]
    assert isinstance(result, dict)
    ((key, said),) = result.items()
    assert key == "***"
    assert VALUE not in str(said)
    assert base64.b64encode(VALUE.encode()).decode()[4:-4] not in str(said)


def formatted(records):
    """Return log records as this deployment's handler writes them."""
    texts = []
    for log_format in LogFormat:
        settings = logging_settings(level=LogLevel.DEBUG, log_format=log_format)
        made = dict(settings["formatters"]["structured"])
        formatter = made.pop("()")(**made)
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        for record in records:
            handler.emit(record)
        texts.append(stream.getvalue())
    return texts


def test_logs_and_tracebacks_are_masked_also_after_the_attempt(field, caplog):
    field.publish(FLOW % "s.fails")
    with caplog.at_level(logging.INFO):
        field.start("uses_it", who="x")
        field.publish(FLOW.replace("uses_it", "second") % "s.says")
        field.start("second", who="x")
        logging.getLogger("late").warning("still %r", VALUE)

    assert any("Traceback" in text for text in formatted(caplog.records))
    for text in formatted(caplog.records):
        assert "still" in text
        assert "hunter2" not in text
        assert "***" in text


def test_a_secret_that_is_set_anew_counts_for_the_next_attempt(field):
    field.publish(FLOW % "s.take")
    field.start("uses_it", who="x")

    keep(field, "TOKEN", "the-new-value")
    field.start("uses_it", who="x")

    assert [item["token"] for item in GIVEN] == [VALUE, "the-new-value"]


def test_a_secret_there_is_not_fails_the_step_with_a_code(field):
    delete_secret(principal=field.world.principal("ada"), project_slug="acme", name="TOKEN")
    field.publish(FLOW % "s.take")

    run = field.start("uses_it", who="x")

    assert outcome(run) == "failed"
    assert error_of(run, "a#1") == "secret.missing"
    assert GIVEN == []


def test_a_missing_secret_is_tried_again_where_the_step_says_so(field):
    delete_secret(principal=field.world.principal("ada"), project_slug="acme", name="TOKEN")
    text = FLOW % "s.take"
    retry = "        retry: {max: 3, initial: PT0.5S, jitter: false, errors: [secret.missing]}\n"
    field.publish(text.replace("        with:\n", f"{retry}        with:\n"))
    started = field.world.start("uses_it", by="mara", inputs={"who": "x"})
    field.hand.drive(started.run_id)
    run = Run.objects.get(pk=started.run_id)
    assert run.status == "WAITING"

    keep(field, "TOKEN", VALUE)
    for _ in range(3):
        field.settle()
        run.refresh_from_db()
        if run.status == "CLOSED":
            break
        time.sleep(0.3)

    assert outcome(run) == "succeeded"
    assert GIVEN[0]["token"] == VALUE


def test_a_secret_whose_key_is_gone_fails_the_step_and_never_halts_the_run(field, settings):
    field.publish(FLOW % "s.take")
    settings.SECRETS_KEYS = [derive_key(secret_key="another" * 10)]

    run = field.start("uses_it", who="x")

    assert outcome(run) == "failed"
    assert error_of(run, "a#1") == "secret.unreadable"


def test_a_value_that_was_copied_to_another_name_does_not_open(field):
    keep(field, "OTHER", OTHER)
    sealed = Secret.objects.get(name="OTHER").sealed
    Secret.objects.filter(name="TOKEN").update(sealed=sealed)
    field.publish(FLOW % "s.take")

    run = field.start("uses_it", who="x")

    assert error_of(run, "a#1") == "secret.unreadable"
    assert GIVEN == []


def test_the_secret_of_another_project_is_not_found(field):
    delete_secret(principal=field.world.principal("ada"), project_slug="acme", name="TOKEN")
    other = World(slug="rival")
    other.user("rae", "project_admin")
    set_secret(principal=other.principal("rae"), project_slug="rival", name="TOKEN", value=OTHER)
    field.publish(FLOW % "s.take")

    assert error_of(field.start("uses_it", who="x"), "a#1") == "secret.missing"


COMPENSATED = """
    schema: flow/v1
    kind: dag
    name: undone
    secrets: [TOKEN]
    steps:
      a:
        uses: python/call@1
        with: {function: t.ok}
        compensate:
          uses: python/call@1
          with: {function: s.take, token: "key ${{ secrets.TOKEN }}"}
      b: {needs: [a], uses: python/call@1, with: {function: t.boom}}
    """


def test_a_compensation_gets_secrets_too(field, calls):
    field.publish(COMPENSATED)

    run = field.start("undone")

    assert outcome(run) == "failed"
    assert [{"token": f"key {VALUE}"}] == GIVEN
    assert_nowhere(VALUE)


def test_a_step_of_another_queue_is_handed_over_without_the_value(field):
    text = (FLOW % "s.take").replace("        with:\n", "        queue: gpu\n        with:\n")
    field.publish(text)
    run = field.start("uses_it", who={"secret": "TOKEN"})
    task = Task.objects.get()
    assert VALUE not in bytes(task.arguments).decode()
    assert '{"secret":"TOKEN"}' in bytes(task.arguments).decode()
    worker = WorkerProcess(name="gpu", queues=("gpu",))
    worker.register()

    assert worker.execute_tasks() == 1
    assert_nowhere(VALUE)
    field.settle()

    assert outcome(run) == "succeeded"
    assert GIVEN[0]["token"] == VALUE
    assert GIVEN[0]["who"] == {"secret": "TOKEN"}
    assert_nowhere(VALUE)


def test_a_task_that_was_changed_in_the_queue_gets_no_other_secret(field):
    keep(field, "OTHER", OTHER)
    text = (FLOW % "s.take").replace("        with:\n", "        queue: gpu\n        with:\n")
    field.publish(text)
    field.start("uses_it", who="x")
    task = Task.objects.get()
    changed = bytes(task.arguments).replace(b'"who":"x"', b'"who":[{"secret":"OTHER"}]')
    changed = changed.replace(b'[{"secret":"TOKEN"}]', b'[{"secret":"OTHER"}]')
    Task.objects.filter(pk=task.pk).update(arguments=changed)
    worker = WorkerProcess(name="gpu", queues=("gpu",))
    worker.register()

    worker.execute_tasks()

    assert GIVEN[0]["token"] == VALUE
    assert OTHER not in str(GIVEN)


def test_the_end_of_an_attempt_that_comes_too_late_is_masked(field):
    text = (FLOW % "s.fails").replace("        with:\n", "        queue: gpu\n        with:\n")
    field.publish(text)
    run = field.start("uses_it", who="x")
    worker = WorkerProcess(name="gpu", queues=("gpu",))
    worker.register()
    (task,) = remote.claim(worker=worker.id, labels=["gpu"], count=1)
    Task.objects.filter(pk=task.id).update(status="lost")

    worker._execute_task(task)

    late = [e for e in ledger.read_stream(stream=run.pk, limit=99) if e.kind == "attempt.late"]
    assert len(late) == 1
    assert "***" in json.dumps(late[0].payloads)
    assert_nowhere(VALUE)


# --- rotating ----------------------------------------------------------------------------------


def test_rotating_seals_every_secret_under_the_new_key(field, settings, capsys):
    field.publish(FLOW % "s.take")
    old, new = settings.SECRETS_KEYS[0], derive_key(secret_key="new" * 20)
    before = Secret.objects.get().sealed
    settings.SECRETS_KEYS = [new, old]

    call_command("rotate_secrets")
    call_command("rotate_secrets")

    assert "1 values are sealed" in capsys.readouterr().out
    assert Secret.objects.get().sealed != before
    settings.SECRETS_KEYS = [new]
    assert outcome(field.start("uses_it", who="x")) == "succeeded"
    assert GIVEN[0]["token"] == VALUE


def test_rotating_names_what_does_not_open_and_keeps_it(field, settings, capsys):
    before = Secret.objects.get().sealed
    settings.SECRETS_KEYS = [derive_key(secret_key="new" * 20)]

    with pytest.raises(CommandError, match=r"engine.Secret.sealed .*: unknown_key"):
        call_command("rotate_secrets")

    assert Secret.objects.get().sealed == before

"""What each action gives back of a secret it was given: nothing."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.core import mail
from django.db import connection

from core.toolkit import log_masking
from countersign import current_attempt, function
from engine import loading
from engine.actions import email_send, http_request, python_call, shell_run, slack_post, sql_query
from engine.attempts import AttemptBook
from engine.domain.secrets import with_places
from engine.executing import StepCall, execute
from engine.secrets.opening import Locked
from tests.integration.engine.field import Field
from tests.integration.engine.keeping import VALUE, assert_nowhere, keep
from tests.integration.engine.plans import plan_of_one_step
from tests.loopback import Answer, serve
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@function("m.reports")
def _reports(*, token, **_):
    current_attempt().heartbeat({"said": token})
    return token


@pytest.fixture
def field():
    loading.forget_all()
    log_masking.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.user("ada", "project_admin")
    made = Field(world)
    keep(made, "TOKEN", VALUE)
    yield made
    log_masking.forget_all()


def make_call(field, spec, template, *, run_id=None, rendered=None):
    """Return a call of an action whose arguments name TOKEN; `rendered` is what the run has."""
    held: Any = rendered or loading.EVALUATOR.render(with_places(template), {})
    return StepCall(
        run_id=run_id or field.world.project.pk,
        key="a#1",
        step="a",
        attempt=1,
        spec=spec,
        action=spec.reference,
        arguments=held,
        timeout=timedelta(seconds=20),
        deadline=20.0,
        locked=Locked(project_id=field.world.project.pk, template=template),
    )


def run_action(field, spec, template, **more):
    return execute(make_call(field, spec, template, **more), now=0.0)


@pytest.fixture
def site():
    yield from serve("127.0.0.1")


def request_with_token(site, **more):
    return {
        "method": "POST",
        "url": f"{site.url}/${{{{ secrets.TOKEN }}}}/x?key=${{{{ secrets.TOKEN }}}}",
        "headers": {"Authorization": "Bearer ${{ secrets.TOKEN }}"},
        "json": {"token": "${{ secrets.TOKEN }}"},
        **more,
    }


def test_what_a_server_echoes_is_masked(field, site, settings):
    settings.HTTP_PRIVATE_ALLOWED = [f"127.0.0.1:{site.port}"]
    site.answer = lambda got: Answer(
        headers={"Content-Type": "application/json", "ETag": got.headers["authorization"]},
        body=json.dumps(
            {"headers": got.headers, "path": got.path, "body": got.body.decode()}
        ).encode(),
    )
    url = request_with_token(site) | {"url": f"{site.url}/x?k=${{{{ secrets.TOKEN }}}}"}

    ended = run_action(field, http_request.SPEC, url)

    assert ended.error == ""
    (got,) = site.received
    assert got.headers["authorization"] == f"Bearer {VALUE}"
    assert json.loads(got.body) == {"token": VALUE}
    said = json.dumps(ended.result)
    assert "hunter2" not in said
    assert "Bearer ***" in said


def test_a_refusal_that_echoes_is_masked_wherever_it_is_cut(field, site, settings):
    settings.HTTP_PRIVATE_ALLOWED = [f"127.0.0.1:{site.port}"]
    for filler in range(150, 215):
        said = "." * filler
        site.answer = lambda got, said=said: Answer(
            status=403, body=f"{said}{json.loads(got.body)['token']}{'!' * 50}".encode()
        )

        ended = run_action(field, http_request.SPEC, request_with_token(site))

        assert ended.error == "permanent"
        assert "403" in ended.message
        assert not any(VALUE[:size] in ended.message for size in range(4, len(VALUE)))


def test_an_address_that_is_not_allowed_does_not_show_it(field, site):
    ended = run_action(field, http_request.SPEC, request_with_token(site))

    assert ended.error == "permanent"
    assert "HTTP_PRIVATE_ALLOWED" in ended.message
    assert "hunter2" not in ended.message


def test_arguments_that_do_not_fit_are_named_without_the_value(field, site):
    template = request_with_token(site, method="${{ secrets.TOKEN }}")

    ended = run_action(field, http_request.SPEC, template)

    assert ended.error == "invalid"
    assert "***" in ended.message
    assert "hunter2" not in ended.message


def test_what_a_program_prints_is_masked(field):
    template = {
        "argv": [
            "/bin/sh",
            "-c",
            'printf "%s\\n" "$T" "$1"; cat; printf "%s" "$T" | base64 -w0 >&2',
            "x",
            "${{ secrets.TOKEN }}",
        ],
        "env": {"T": "${{ secrets.TOKEN }}"},
        "stdin": "${{ secrets.TOKEN }}",
    }

    ended = run_action(field, shell_run.SPEC, template)

    assert ended.error == ""
    assert ended.result == {
        "exit": 0,
        "stdout": "***\n***\n***",
        "stderr": "***",
        "truncated": False,
    }


def test_a_program_that_fails_with_it_is_masked_wherever_it_is_cut(field):
    for filler in range(470, 503, 2):
        script = f'printf "%s" "$T" >&2; printf "%{filler}s" "" | tr " " . >&2; exit 3'
        template = {"argv": ["/bin/sh", "-c", script], "env": {"T": "${{ secrets.TOKEN }}"}}

        ended = run_action(field, shell_run.SPEC, template)

        assert ended.error == "exit"
        assert not any(VALUE[-size:] in ended.message for size in range(4, len(VALUE)))


def test_a_mail_carries_it_and_the_record_does_not(field, settings):
    settings.MAIL_DOMAINS_ALLOWED = ["example.org"]
    field.world.publish(plan_of_one_step(), author="mara")
    run_id = field.world.start("job", by="mara").run_id
    template = {"to": ["x@example.org"], "subject": "Key", "text": "It is ${{ secrets.TOKEN }}."}

    ended = run_action(field, email_send.SPEC, template, run_id=run_id)

    assert ended.result == {"sent_count": 1, "skipped_count": 0}
    assert mail.outbox[0].body == f"It is {VALUE}."
    refused = run_action(
        field,
        email_send.SPEC,
        {**template, "to": ["${{ secrets.TOKEN }}@example.com"]},
        run_id=run_id,
    )
    assert refused.error == "invalid"
    assert "hunter2" not in refused.message
    assert_nowhere(VALUE)


def test_a_statement_that_fails_with_it_is_masked(field, settings):
    options = connection.get_connection_params()
    host, port = options["host"], options.get("port", "")
    where = f"{options['dbname']}?host={quote(host, safe='')}&port={port}"
    url = f"postgresql://{options.get('user', '')}:{options.get('password', '')}@/{where}"
    settings.SQL_CONNECTIONS = {"own": {"url": url, "write": False}}
    template = {
        "connection": "own",
        "statement": "SELECT %(token)s::int",
        "parameters": {"token": "${{ secrets.TOKEN }}"},
    }

    ended = run_action(field, sql_query.SPEC, template)

    assert "invalid input syntax" in ended.message
    assert "***" in ended.message
    assert "hunter2" not in ended.message


def test_a_message_to_slack_that_is_refused_is_masked(field, site, settings):
    settings.HTTP_PRIVATE_ALLOWED = [f"127.0.0.1:{site.port}"]
    settings.SLACK_WEBHOOKS = {"ops": f"{site.url}/hook"}
    site.answer = lambda got: Answer(status=400, body=got.body)

    ended = run_action(
        field, slack_post.SPEC, {"webhook": "ops", "text": "it is ${{ secrets.TOKEN }}"}
    )

    assert ended.error == "permanent"
    assert "***" in ended.message
    assert "hunter2" not in ended.message


def test_what_hangs_reports_without_it(field):
    template = {"function": "m.reports", "token": "${{ secrets.TOKEN }}"}
    call = make_call(field, python_call.SPEC, template)
    book = AttemptBook()

    with book.attempt(deadline=-1.0, key="a#1") as beat:
        ended = execute(call, now=0.0, beat=beat)
        (hung,) = book.list_hung(now=0.0)

    assert hung.progress == {"said": "***"}
    assert ended.result == "***"


def test_arguments_that_do_not_fit_their_template_fail_the_step(field):
    ended = run_action(
        field,
        python_call.SPEC,
        {"function": "m.reports", "token": "${{ secrets.TOKEN }}"},
        rendered={"function": "m.reports", "token": "forged"},
    )

    assert ended.error == "permanent"
    assert "cannot be put together" in ended.message

"""The compliance report over the API and from the command line, of a ledger that is real."""

import csv
import io
import json
from datetime import timedelta
from hashlib import sha256

import pytest
import rfc8785
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from approvals.models import Request
from audit import report_rows
from audit.domain.errors import ReportTooLargeError
from audit.domain.notes import Note, SigningKey, parse_note, write_note
from audit.models import Entry, TreeHead
from audit.selectors import report as selector
from audit.selectors.report import Period
from audit.services.reporting import make_report
from core.identity.authorize import require
from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.projects import create_project
from core.identity.services.roles import assign_role
from core.kernel import limits
from core.kernel.clock import FakeClock
from engine.models import Workflow
from engine.services.runs import cancel_run
from tests.sealed import SealedLog


@pytest.fixture
def told(town):
    """Return a town with an auditor, in which something of everything has happened."""
    aud = town.user("aud").user_id
    assign_role(principal=town.system, role="auditor", scope_id=GLOBAL_SCOPE_ID, user_id=aud)
    covered = town.request()
    assert town.decide(covered, "ann").status_code == 200
    assert town.decide(covered, "stan").status_code in {403, 404}
    rejected = town.request()
    town.decide(rejected, "bob", "reject")
    alone = town.run()
    cancel_run(principal=town.principal("mara"), run_id=alone, reason="changed my mind")
    for run_id in (covered.run_id, rejected.run_id, alone):
        town.hand.drive(run_id)
    return town


def ask(town, who="aud", **query):
    period = {
        "since": (now() - timedelta(days=1)).isoformat(),
        "until": (now() + timedelta(days=1)).isoformat(),
    }
    return town.as_(who).get("ledger/report/", **{**period, **query})


def test_a_report_counts_what_happened(told):
    document = ask(told, project="acme").json()["document"]

    report = document["report"]
    assert report["runs"]["begun"] == report["runs"]["ended"] == 3
    assert report["runs"]["outcomes"] == {"cancelled": 1, "rejected": 1, "succeeded": 1}
    assert report["approvals"]["opened"] == 3
    assert report["approvals"]["outcomes"] == {"approved": 1, "rejected": 1, "voided": 1}
    assert (report["four_eyes"]["covered"], report["four_eyes"]["ended"]) == (1, 3)
    assert len(report["four_eyes"]["uncovered"]) == 2
    assert report["operator"]["counts"] == {"run.cancel_requested": 1}
    assert report["approvals"]["quick_count"] == 2  # tests decide at once
    names = document["names"]
    assert {names[item["actor"]] for item in report["approvals"]["deciders"]} == {"Ann", "Bob"}


def test_the_whole_ledger_has_refusals_and_access_changes_too(told):
    report = ask(told).json()["document"]["report"]

    assert report["refused"]["counts"]["access.refused"] >= 1
    assert report["access"]["counts"]["role.assigned"] >= 1


def test_the_figures_of_a_project_are_all_of_them_where_it_is_the_only_one(told):
    whole = ask(told).json()["document"]["report"]
    part = ask(told, project="acme").json()["document"]["report"]

    for section in ("runs", "approvals", "four_eyes", "operator"):
        assert whole[section] == part[section]


def test_making_a_report_is_on_record_with_the_digest_of_its_document(told):
    made = ask(told, project="acme").json()

    entry = Entry.objects.get(pk=made["entry"])
    said = json.loads(bytes(entry.body))
    assert (entry.kind, said["data"]["project"]) == ("report.made", "acme")
    assert said["actor"]["id"] == str(told.users["aud"].pk)
    assert said["data"]["digest"] == made["digest"]
    assert sha256(rfc8785.dumps(made["document"])).hexdigest() == made["digest"]


def test_a_report_says_that_its_entries_hold_and_under_which_tree_head(told, tmp_path):
    log = SealedLog(tmp_path)
    log.seal()

    seal = ask(told).json()["document"]["seal"]

    count = Entry.objects.filter(pk__lte=seal["last_entry"]).count()
    assert (seal["bad"], seal["is_complete"], seal["entry_count"]) == (None, True, count)
    assert seal["sealed_count"] == seal["tree_size"] > 0
    assert len(seal["root"]) == 64
    assert seal["note"].startswith(log.origin)
    assert seal["head_fault"] == ""


def without_triggers(table, statement, *values):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        cursor.execute(f"UPDATE {table} {statement}", values)
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


def forge(note, *, name):
    """Return the note as somebody else signs it under the name of the log, or of their own."""
    text = parse_note(note).text
    key = SigningKey.generate(name, seed=bytes(range(32)))
    return write_note(Note(text=text, signatures=(key.sign(text),)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda note: forge(note, name="somewhere.else"), "not signed by a key on record"),
        (lambda note: forge(note, name=note.partition("\n")[0]), "not signed by a key on record"),
        (lambda note: f"{note[:-12]}AAAAAAA{note[-5:]}", "not signed by a key on record"),
        (lambda note: note.partition("\n\n")[0] + "\n", "not signed by a key on record"),
    ],
    ids=["another log", "another key", "false signature", "no signature"],
)
def test_a_tree_head_that_is_not_signed_is_said_not_to_hold(told, tmp_path, spoil, says):
    log = SealedLog(tmp_path)
    log.seal()
    newest = TreeHead.objects.latest("tree_size")
    without_triggers(
        "audit_tree_head", "SET note = %s WHERE tree_size = %s", spoil(newest.note), newest.pk
    )

    seal = ask(told).json()["document"]["seal"]

    assert seal["bad"] is None
    assert says in seal["head_fault"]


def test_a_tree_head_says_what_its_note_says(told, tmp_path):
    SealedLog(tmp_path).seal()
    without_triggers("audit_tree_head", "SET root = sha256(root)")

    seal = ask(told).json()["document"]["seal"]

    assert seal["head_fault"] == "The signed note of the tree head says otherwise than its row."


def test_a_key_that_was_put_there_without_a_record_is_said_not_to_hold(told, tmp_path):
    log = SealedLog(tmp_path)
    log.seal()
    stray = SigningKey.generate(log.origin, seed=bytes(range(32))).verifier
    without_triggers("audit_key", "SET key_id = %s, vkey = %s", stray.key_id.hex(), stray.text)

    seal = ask(told).json()["document"]["seal"]

    assert "keys on record do not hold" in seal["head_fault"]


def test_the_report_of_a_project_has_what_was_refused_there_and_nowhere_else(told):
    stan = told.principal("stan")
    workflow = Workflow.objects.earliest("created_at")
    elsewhere = create_project(principal=told.system, slug="elsewhere", title="Elsewhere")
    for scope_id in (told.project.scope_id, workflow.scope_id, elsewhere.scope_id, None):
        with pytest.raises(AccessForbiddenError):
            require(principal=stan, permission=Permission.MANAGE_ROLES, scope_id=scope_id)
    refused = Entry.objects.filter(kind="access.refused")
    here = {str(told.project.scope_id), str(workflow.scope_id)}

    part = ask(told, project="acme").json()["document"]["report"]["refused"]
    whole = ask(told).json()["document"]["report"]["refused"]

    of_here = refused.filter(subject__in=here)
    assert part["counts"]["access.refused"] == of_here.count() >= 2
    told_of = {item["id"] for item in part["items"] if item["kind"] == "access.refused"}
    assert told_of == set(of_here.values_list("pk", flat=True))
    assert whole["counts"]["access.refused"] == refused.count() >= of_here.count() + 2


@pytest.mark.parametrize(
    "change",
    [
        "SET body = body || '\\x20'::bytea",
        "SET leaf = sha256(leaf)",
        "SET kind = 'vote.counted'",
        "SET subject = 'request:x'",
        "SET at = at - interval '1 second'",
        "SET actor = 'somebody'",
        "SET scope = NULL",
        "SET body = 'nonsense'::bytea, leaf = sha256('\\x00'::bytea || 'nonsense'::bytea)",
    ],
)
def test_an_entry_that_was_changed_is_named(told, change):
    victim = Entry.objects.filter(kind="vote.cast").earliest("pk")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        cursor.execute(f"UPDATE audit_entry {change} WHERE id = %s", [victim.pk])
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER ALL")
    period = Period(since=now() - timedelta(days=1), until=now() + timedelta(days=1))
    extent = report_rows.find_extent(since=period.since, until=period.until, scopes=None)

    found = report_rows.check_entries(extent, tree_size=0, limit=10_000)

    assert found.bad == victim.pk


def test_what_began_before_the_period_is_looked_up(told):
    run_id = told.run()
    middle = now()
    row = Request.objects.get(run_id=run_id)
    told.decide(row, "cid")
    told.hand.drive(run_id)
    made = make_report(
        principal=told.principal("aud"),
        period=Period(since=middle, until=now() + timedelta(days=1), project_slug="acme"),
    )

    assert (made.report.runs.begun, made.report.runs.ended) == (0, 1)
    assert made.report.four_eyes.covered == 1
    assert made.report.approvals.times.count == 1


def test_csv_has_a_line_for_each_figure(told):
    answer = ask(told, project="acme", form="csv")

    assert answer["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert ["runs", "ended", "3", ""] in rows
    assert all(len(row) == 4 for row in rows)


@pytest.mark.parametrize(
    ("who", "query", "status", "code"),
    [
        ("mara", {}, 404, "audit.report_missing"),
        ("mara", {"project": "acme"}, 404, "audit.report_missing"),
        ("aud", {"project": "nowhere"}, 404, "audit.report_missing"),
        ("aud", {"until": "2001-01-01T00:00:00Z"}, 422, "audit.period_invalid"),
        ("aud", {"since": "2001-01-01T00:00:00Z"}, 422, "audit.period_invalid"),
        (
            "aud",
            {"since": "2901-01-01T00:00:00Z", "until": "2902-01-01T00:00:00Z"},
            422,
            "audit.period_invalid",
        ),
        ("aud", {"since": "yesterday"}, 422, "api.invalid_input"),
    ],
)
def test_who_may_not_and_what_is_no_period_is_refused(told, problem, who, query, status, code):
    before = Entry.objects.filter(kind="report.made").count()

    problem(ask(told, who, **query), status, code)

    assert Entry.objects.filter(kind="report.made").count() == before


def test_an_auditor_of_one_project_reports_on_that_only(told, problem):
    told.user("pia")
    assign_role(
        principal=told.system,
        role="auditor",
        scope_id=told.project.scope_id,
        user_id=told.users["pia"].pk,
    )

    assert ask(told, "pia", project="acme").status_code == 200
    problem(ask(told, "pia"), 404, "audit.report_missing")


def test_too_many_entries_are_refused_while_somebody_waits(told):
    with pytest.raises(ReportTooLargeError):
        selector.get_report(
            principal=told.principal("aud"),
            period=Period(since=now() - timedelta(days=1), until=now() + timedelta(days=1)),
            now=now(),
            entry_count_max=3,
        )


def test_a_report_takes_as_many_statements_whatever_the_period_holds(told):
    ask(told, project="acme")  # makes the token
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            ask(told, project="acme")
        counts.append(len(queries))
        for _ in range(3):
            told.decide(told.request(), "ann")

    assert counts[0] == counts[1] <= 20


def test_the_command_makes_one_of_any_size_and_puts_it_on_record(told, tmp_path):
    file, said = tmp_path / "report.json", io.StringIO()
    day = timedelta(days=1)

    call_command(
        "ledger",
        "report",
        *("--since", (now() - day).isoformat(), "--until", (now() + day).isoformat()),
        *("--project", "acme", "--to", str(file)),
        stderr=said,
    )

    document = json.loads(file.read_text())
    assert document["report"]["runs"]["ended"] == 3
    newest = Entry.objects.filter(kind="report.made").latest("pk")
    assert str(newest.pk) in said.getvalue()
    assert json.loads(bytes(newest.body))["data"]["digest"] in said.getvalue()


def test_an_end_to_come_counts_as_now(told):
    clock = FakeClock(current=now())
    made = make_report(
        principal=told.principal("aud"),
        period=Period(since=now() - timedelta(days=1), until=now() + timedelta(days=30)),
        clock=clock,
    )

    assert made.report.until == clock.now()
    assert limits.REPORT_DAY_COUNT_MAX > 30

"""Who may have what exported and downloaded, and downloads that go on."""

import json
from datetime import timedelta
from uuid import UUID

from django.utils.timezone import now

from audit.exports import running, sweeping
from audit.exports.models import Export
from audit.models import Entry, Leaf
from audit.selectors.entries import EntryFilters, list_entries
from core.identity.services.projects import create_project
from core.identity.services.roles import revoke_assignment
from core.identity.services.tokens import create_token
from tests.integration.api.conftest import Caller
from tests.integration.api.exporting import (
    ask,
    download,
    export,
    fetch,
    finish,
    grant,
    scopes,
)
from tests.integration.audit.logs import seal


def test_an_auditor_of_a_project_gets_that_project_and_its_runs_and_nothing_else(record, problem):
    kinds = scopes(record)

    problem(ask(record, "paul", **kinds["whole"]), 403, "identity.forbidden")
    problem(ask(record, "paul", **kinds["period"]), 403, "identity.forbidden")
    shown, content = export(record, "paul", **kinds["project"], format="jsonl")
    export(record, "paul", **kinds["run"], format="jsonl")

    seen = list_entries(principal=record.principal("paul"), filters=EntryFilters(), limit=10_000)
    visible = {item.leaf_hex for item in seen}
    held = {json.loads(line)["leaf"] for line in content.splitlines()}
    assert held
    assert held <= visible
    assert shown["done_count"] < Leaf.objects.count()


def test_nobody_exports_what_they_could_not_list(record):
    """For everybody, whatever they ask for: each entry they get is one that their lists show."""
    rival = create_project(principal=record.system, slug="rival", title="Rival")
    record.user("rita")
    grant(record, "rita", rival.scope_id)
    seal()
    for name in ("aud", "paul", "rita", "vera", "stan"):
        seen = list_entries(principal=record.principal(name), filters=EntryFilters(), limit=10_000)
        visible = {item.leaf_hex for item in seen}
        bodies = [*scopes(record).values(), {"kind": "project", "project": "rival"}]
        for body in bodies:
            asked = ask(record, name, **body, format="jsonl")
            if asked.status_code != 201:
                assert asked.status_code in {403, 404}
                continue
            finish(asked.json()["id"])
            content = download(record, name, asked.json()["id"])
            held = {json.loads(line)["leaf"] for line in content.splitlines()}
            assert held <= visible, (name, body)


def test_what_one_may_not_see_looks_like_what_is_not_there(record, problem):
    rival = create_project(principal=record.system, slug="rival", title="Rival")
    record.user("rita")
    grant(record, "rita", rival.scope_id)
    shown, _ = export(record, **scopes(record)["whole"], format="jsonl")

    for body in (scopes(record)["run"], scopes(record)["project"]):
        problem(ask(record, "rita", **body), 404, "audit.export_subject_missing")
    problem(
        ask(record, "aud", kind="run", run_id=str(UUID(int=1))), 404, "audit.export_subject_missing"
    )
    for path in ("", "download/"):
        answer = record.as_("rita").get(f"ledger/exports/{shown['id']}/{path}")
        problem(answer, 404, "audit.export_missing")
    answer = record.as_("rita").post(f"ledger/exports/{shown['id']}/cancel/")
    problem(answer, 404, "audit.export_missing")
    assert record.as_("rita").get("ledger/exports/").json()["items"] == []


def test_a_refused_export_is_on_record(record, problem):
    problem(ask(record, "mara", **scopes(record)["whole"]), 403, "identity.forbidden")

    refused = Entry.objects.filter(kind="access.refused").latest("pk")
    body = json.loads(bytes(refused.body))
    assert body["actor"]["id"] == str(record.users["mara"].pk)
    assert body["data"]["permission"] in {"view_audit", "export_audit"}


def test_who_sees_all_sees_the_exports_of_others_and_others_their_own(record):
    mine, _ = export(record, "paul", **scopes(record)["project"], format="jsonl")
    theirs, _ = export(record, "aud", **scopes(record)["whole"], format="jsonl")

    def listed(name):
        return [item["id"] for item in record.as_(name).get("ledger/exports/").json()["items"]]

    assert listed("paul") == [mine["id"]]
    assert listed("aud") == [theirs["id"], mine["id"]]


def test_rights_that_end_end_the_download_and_the_writing(record, problem):
    shown, _ = export(record, "paul", **scopes(record)["project"], format="jsonl")
    asked = ask(record, "paul", **scopes(record)["project"], format="csv").json()
    assignment = record.users["paul"].assignments.get()

    revoke_assignment(principal=record.system, assignment_id=assignment.pk)

    problem(fetch(record, "paul", shown["id"]), 403, "identity.forbidden")
    finish(asked["id"])
    ended = record.as_("paul").get(f"ledger/exports/{asked['id']}/").json()
    assert (ended["status"], ended["error_code"]) == ("failed", "audit.export_rights_ended")


def test_a_token_that_sees_less_gets_less(record, problem):
    """An export asked for with a narrow token holds no more than that token shows."""
    _, secret = create_token(
        principal=record.principal("aud"), name="narrow", project_id=record.project.pk
    )
    narrow = Caller(secret)

    problem(narrow.post("ledger/exports/", {"kind": "whole"}), 403, "identity.forbidden")
    asked = narrow.post(
        "ledger/exports/", {"kind": "project", "project": record.slug, "format": "jsonl"}
    )
    finish(asked.json()["id"])
    content = download(record, "aud", asked.json()["id"])

    scope_ids = {str(record.project.scope_id)}
    scope_ids |= {str(item.pk) for item in record.project.scope.children.all()}
    held = {json.loads(line)["entry"]["scope"] for line in content.splitlines()}
    assert held
    assert held <= scope_ids


def test_a_download_that_broke_off_goes_on(record):
    shown, content = export(record, kind="whole", format="bundle")
    first = fetch(record, "aud", shown["id"])
    etag = first.headers["ETag"]
    half = len(content) // 2

    rest = fetch(record, "aud", shown["id"], Range=f"bytes={half}-", If_Range=etag)
    last = fetch(record, "aud", shown["id"], Range="bytes=-10")
    middle = fetch(record, "aud", shown["id"], Range="bytes=5-9")
    other = fetch(record, "aud", shown["id"], Range=f"bytes={half}-", If_Range='"other"')
    several = fetch(record, "aud", shown["id"], Range="bytes=0-1,5-6")

    def body(answer):
        return b"".join(answer.streaming_content)

    assert etag == f'"{shown["sha256"]}"'
    assert body(first) == content
    assert first.headers["Accept-Ranges"] == "bytes"
    assert first.headers["Content-Length"] == str(len(content))
    assert "no-transform" in first.headers["Cache-Control"]
    assert first.headers["Content-Disposition"] == f'attachment; filename="{shown["file_name"]}"'
    assert (rest.status_code, body(rest)) == (206, content[half:])
    assert rest.headers["Content-Range"] == f"bytes {half}-{len(content) - 1}/{len(content)}"
    assert (last.status_code, body(last)) == (206, content[-10:])
    assert (middle.status_code, body(middle)) == (206, content[5:10])
    assert (other.status_code, body(other)) == (200, content)
    assert (several.status_code, body(several)) == (200, content)
    # What follows within minutes is the same download.
    assert Entry.objects.filter(kind="export.downloaded").count() == 1


def test_a_download_is_never_compressed_on_the_way(record):
    shown, content = export(record, kind="whole", format="jsonl")

    answer = fetch(record, "aud", shown["id"], Accept_Encoding="gzip")

    assert "Content-Encoding" not in answer.headers
    assert b"".join(answer.streaming_content) == content


def test_a_part_outside_the_file_is_refused(record, problem):
    shown, content = export(record, kind="whole", format="jsonl")

    answer = fetch(record, "aud", shown["id"], Range=f"bytes={len(content)}-")

    problem(answer, 416, "api.range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(content)}"


def test_what_is_not_ready_is_not_downloaded(record, problem):
    asked = ask(record, "aud", kind="whole").json()
    problem(fetch(record, "aud", asked["id"]), 409, "audit.export_not_ready")

    cancelled = record.as_("aud").post(f"ledger/exports/{asked['id']}/cancel/")
    again = record.as_("aud").post(f"ledger/exports/{asked['id']}/cancel/")

    assert cancelled.json()["status"] == again.json()["status"] == "cancelled"
    assert running.run_export(export_id=UUID(asked["id"])) is False
    problem(fetch(record, "aud", asked["id"]), 409, "audit.export_not_ready")
    kinds = Entry.objects.filter(subject=f"export:{asked['id']}").values_list("kind", flat=True)
    assert list(kinds.order_by("pk")) == ["export.requested", "export.cancelled"]


def test_a_file_is_deleted_when_its_time_is_up(record, problem, exports_dir):
    shown, _ = export(record, kind="whole", format="bundle")
    folder = exports_dir / shown["id"]
    assert [item.name for item in folder.iterdir()] == ["export"]
    assert (folder / "export").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700

    assert sweeping.sweep_exports() == 0
    Export.objects.filter(pk=shown["id"]).update(expires_at=now() - timedelta(minutes=1))
    moved = sweeping.sweep_exports()

    assert moved == 1
    assert not folder.exists()
    problem(fetch(record, "aud", shown["id"]), 410, "audit.export_expired")
    assert Entry.objects.filter(kind="export.expired").count() == 1


def test_an_idle_sweep_costs_one_statement(record, django_assert_num_queries):
    export(record, kind="whole", format="jsonl")

    with django_assert_num_queries(1):
        assert sweeping.sweep_exports() == 0

"""Exports over HTTP: every kind in every format, and what is on record of them."""

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils.timezone import now

from audit.exports import running
from audit.exports.models import Export, ExportPart
from audit.models import Entry
from core.kernel import limits
from tests.fakes import bundles
from tests.integration.api.exporting import (
    FORMATS,
    VERIFIER,
    ask,
    contents_of,
    download,
    expected_leaves,
    export,
    finish,
    grant,
    scopes,
)
from tests.integration.audit.logs import KEY


@pytest.mark.parametrize("kind", ["run", "period", "project", "whole"])
def test_a_bundle_is_the_reference_writers_byte_for_byte_and_verifies(record, kind, tmp_path):
    shown, content = export(record, **scopes(record)[kind], format="bundle")

    assert content == bundles.write_bundle(contents_of(record, shown, kind))
    assert shown["size_bytes"] == len(content)
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    done = subprocess.run(  # as an auditor runs it
        [sys.executable, "-I", str(VERIFIER), str(path), "--key", KEY.verifier.text, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", ["run", "period", "project", "whole"])
def test_every_format_holds_the_entries_of_every_kind(record, kind, format_):
    if format_ == "bundle":
        format_ = "jsonl"  # the test above has it byte for byte
    shown, content = export(record, **scopes(record)[kind], format=format_)

    rows = expected_leaves(record, kind, shown["tree_size"])
    assert shown["done_count"] == shown["total_count"] == len(rows) > 3
    if format_ == "csv":
        cells = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        assert [item["leaf_index"] for item in cells] == [str(row.leaf_index) for row in rows]
        assert [item["leaf"] for item in cells] == [bytes(row.entry.leaf).hex() for row in rows]
        return
    lines = content.splitlines()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        read = json.loads(line)
        name = f"{row.entry.stream}/{row.entry.seq}"
        if format_ == "jsonl":
            assert bytes(row.entry.body) in line
            assert read["leaf_index"] == row.leaf_index
        elif format_ == "cloudevents":
            assert (read["id"], read["leafindex"]) == (name, str(row.leaf_index))
        else:
            assert read["metadata"]["uid"] == name
            assert read["type_uid"] == read["class_uid"] * 100 + read["activity_id"]


def test_an_export_says_what_is_not_in_it(record):
    done, _ = export(record, **scopes(record)["run"], format="jsonl")
    going, _ = export(record, kind="run", run_id=str(record.open_run), format="jsonl")
    whole, _ = export(record, kind="whole", format="jsonl")

    assert (done["is_complete"], done["unsealed_count"]) == (True, 0)
    assert going["is_complete"] is False
    assert whole["is_complete"] is False
    assert whole["unsealed_count"] > 0


def test_a_run_that_is_not_sealed_is_waited_for_and_exported_as_far_as_it_is(record):
    record.hand.drive(record.open_run)
    late = record.run()
    asked = ask(record, "aud", kind="run", run_id=str(late), format="jsonl").json()

    assert running.run_export(export_id=UUID(asked["id"])) is False
    waiting = record.as_("aud").get(f"ledger/exports/{asked['id']}/").json()
    Export.objects.filter(pk=asked["id"]).update(created_at=now() - timedelta(minutes=1))
    finish(asked["id"])
    shown = record.as_("aud").get(f"ledger/exports/{asked['id']}/").json()

    assert waiting["status"] == "queued"
    assert (shown["status"], shown["done_count"]) == ("ready", 0)
    assert shown["unsealed_count"] > 3
    assert shown["is_complete"] is False


def test_every_step_of_an_export_is_on_record(record):
    shown, content = export(record, **scopes(record)["project"], format="bundle")
    download(record, "aud", shown["id"])

    rows = Entry.objects.filter(subject=f"export:{shown['id']}").order_by("pk")
    entries = [json.loads(bytes(row.body)) for row in rows]

    assert [item["kind"] for item in entries] == [
        "export.requested",
        "export.completed",
        "export.downloaded",
    ]
    assert {item["scope"] for item in entries} == {str(record.project.scope_id)}
    done = entries[1]
    assert done["data"]["entries"] == shown["done_count"]
    assert done["data"]["size"] == shown["tree_size"]
    assert done["data"]["sha256"] == shown["sha256"]
    assert done["data"]["manifest_sha256"].encode() in content[-71:]
    assert done["on_behalf_of"]["id"] == str(record.users["aud"].pk)
    assert entries[0]["actor"]["id"] == str(record.users["aud"].pk)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"kind": "run"}, "/run_id"),
        ({"kind": "project"}, "/project"),
        ({"kind": "period"}, "/since"),
        ({"kind": "whole", "project": "acme"}, "/project"),
        ({"kind": "whole", "run_id": str(UUID(int=1))}, "/run_id"),
        ({"kind": "whole", "since": "2026-01-01T00:00:00Z"}, "/until"),
        ({"kind": "all"}, "/kind"),
        ({"kind": "whole", "format": "pdf"}, "/format"),
        (
            {"kind": "period", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            "/until",
        ),
    ],
)
def test_a_wish_that_contradicts_itself_is_refused(record, body, path):
    answer = ask(record, "aud", **body)

    assert answer.status_code == 422, answer.content
    assert path in {item["path"] for item in answer.json()["errors"]}


def test_asking_twice_with_one_key_asks_once(record, problem):
    caller = record.as_("aud")
    key = {"Idempotency_Key": "k1"}

    first = caller.post("ledger/exports/", {"kind": "whole"}, **key)
    again = caller.post("ledger/exports/", {"kind": "whole"}, **key)
    other = caller.post("ledger/exports/", {"kind": "whole", "format": "csv"}, **key)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (first.json()["replayed"], again.json()["replayed"]) == (False, True)
    problem(other, 422, "audit.export_key_reused")
    assert Export.objects.count() == 1


def test_nobody_has_more_than_a_few_under_way(record, problem):
    for _ in range(limits.EXPORT_OPEN_COUNT_MAX):
        assert ask(record, "aud", kind="whole").status_code == 201

    problem(ask(record, "aud", kind="whole"), 409, "audit.too_many_exports")
    assert ask(record, "paul", **scopes(record)["project"]).status_code == 201


def test_nothing_is_exported_before_anything_is_sealed(town, problem):
    town.user("aud")
    grant(town, "aud", None)

    answer = ask(town, "aud", kind="whole")

    problem(answer, 409, "audit.nothing_sealed")
    assert int(answer.headers["Retry-After"]) >= 1


def test_parts_are_noted_and_progress_only_grows(record, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 7)
    asked = ask(record, "aud", kind="whole", format="jsonl").json()
    counts = []

    def note(job):
        counts.append(Export.objects.get(pk=job.pk).done_count)

    while running.run_export(export_id=UUID(asked["id"]), on_part=note):
        pass

    shown = record.as_("aud").get(f"ledger/exports/{asked['id']}/").json()
    assert counts == sorted(set(counts))
    assert counts[-1] == shown["total_count"] == shown["done_count"]
    assert len(counts) == ExportPart.objects.filter(export_id=asked["id"]).count() > 3


def test_a_part_costs_the_same_statements_however_large_it_is(
    record, monkeypatch, django_assert_max_num_queries
):
    small = ask(record, "aud", kind="whole", format="bundle").json()
    with django_assert_max_num_queries(75) as context:
        finish(small["id"])
    one_part = len(context)
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 10)
    large = ask(record, "aud", kind="whole", format="bundle").json()

    with django_assert_max_num_queries(10_000) as context:
        finish(large["id"])

    part_count = ExportPart.objects.filter(export_id=large["id"]).count()
    assert part_count > 5
    assert (len(context) - one_part) / (part_count - 1) <= 16

"""Exports on workers that die, while values are redacted, and in little memory."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils.timezone import now

from audit import store
from audit.domain.exporting import ExportFormat, ExportKind, Wish
from audit.exports import files, reading, running, sweeping
from audit.exports.models import Export, ExportPart
from audit.exports.writing import write_part
from audit.models import Entry
from audit.redactions.models import Hold
from audit.services.exports import request_export
from core.identity.models import Scope
from core.identity.services.roles import assign_role
from core.kernel import limits
from tests.fakes.drafts import draft
from tests.integration.audit.logs import seal
from tests.world import World

ROOT = Path(__file__).parents[3]
ENTRY_COUNT = 400

# Writes parts of ten entries and says so after each, slowly: a worker that is about to be killed.
WORKER = textwrap.dedent(
    """
    import os, sys, time, uuid
    import django
    django.setup()
    from django.conf import settings
    settings.LEDGER_EXPORTS_DIR = sys.argv[2]
    settings.DATABASES["default"]["NAME"] = sys.argv[3]
    from core.kernel import limits
    limits.EXPORT_PART_ENTRY_COUNT = 10
    from audit.exports.running import run_export
    def say(job):
        print(job.done_count, flush=True)
        time.sleep(0.05)
    run_export(export_id=uuid.UUID(sys.argv[1]), on_part=say)
    """
)


@pytest.fixture
def log(transactional_db, settings, tmp_path):
    """Return a world with an auditor and a sealed ledger of some hundred entries."""
    settings.LEDGER_EXPORTS_DIR = tmp_path / "exports"
    world = World()
    world.user("aud")
    everywhere = Scope.objects.get(kind="global").pk
    user_id = world.users["aud"].pk
    assign_role(principal=world.system, role="auditor", scope_id=everywhere, user_id=user_id)
    for start in range(0, ENTRY_COUNT, 50):
        add(*(draft(data={"n": start + n}, payloads={"comment": f"c{n}"}) for n in range(50)))
    seal()
    return world


def add(*drafts):
    with transaction.atomic():
        store.append(stream="project:0198c0de-0000-7000-8000-0000000000dd", drafts=drafts)


def ask(world, format_=ExportFormat.BUNDLE):
    wish = Wish(kind=ExportKind.WHOLE, format=format_)
    return request_export(principal=world.principal("aud"), wish=wish).export.id


def finish(export_id):
    while running.run_export(export_id=export_id):
        pass
    return Export.objects.get(pk=export_id)


def read(export_id):
    return files.product_path(export_id=export_id).read_bytes()


def test_an_export_whose_worker_is_killed_goes_on_after_its_last_part(log, settings, monkeypatch):
    export_id = ask(log)
    worker = start_worker(export_id, settings)
    for line in worker.stdout:
        if int(line) >= 50:
            break
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate(timeout=10)

    before = list(ExportPart.objects.filter(export_id=export_id).values_list("number", flat=True))
    written = {
        path.name: path.stat().st_mtime_ns
        for path in (settings.LEDGER_EXPORTS_DIR / str(export_id)).iterdir()
        if not path.name.endswith(".part")
    }
    taken_too_soon = running.run_export(export_id=export_id)
    Export.objects.filter(pk=export_id).update(
        lease_until=now() - timedelta(seconds=1), hinted_at=now() - timedelta(minutes=1)
    )
    found = sweeping.sweep_exports()
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 10)
    kept = {}
    monkeypatch.setattr(
        files,
        "delete_all_but_product",
        lambda *, export_id: kept.update(
            {
                path.name: path.stat().st_mtime_ns
                for path in (settings.LEDGER_EXPORTS_DIR / str(export_id)).iterdir()
            }
        ),
    )
    ended = finish(export_id)

    assert len(before) >= 5
    assert taken_too_soon is False
    assert found == 1
    assert ended.status == "ready"
    assert ended.done_count == ended.total_count
    assert ended.turn == 2
    numbers = list(ExportPart.objects.filter(export_id=export_id).values_list("number", flat=True))
    assert sorted(numbers) == list(range(len(numbers)))
    recorded = {name: at for name, at in written.items() if int(name[:6]) in before}
    assert recorded
    assert all(kept[name] == at for name, at in recorded.items())
    assert read(export_id) == read(same_in_one_go(log, ended, monkeypatch))


def same_in_one_go(log, ended, monkeypatch):
    """Export the same tree without a break; what differs is the record of exports behind it."""
    monkeypatch.setattr(reading, "newest_tree_size", lambda: ended.tree_size)
    monkeypatch.setattr(reading, "count_unsealed", lambda **_: ended.unsealed_count)
    return finish(ask(log)).pk


def start_worker(export_id, settings):
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            WORKER,
            str(export_id),
            str(settings.LEDGER_EXPORTS_DIR),
            connection.settings_dict["NAME"],
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "core.settings.test"},
    )


def test_a_worker_that_was_given_up_writes_no_more(log, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 100)
    export_id = ask(log)

    def steal(job):
        Export.objects.filter(pk=job.pk).update(turn=job.turn + 1)

    more = running.run_export(export_id=export_id, on_part=steal)

    row = Export.objects.get(pk=export_id)
    assert more is False
    assert (row.status, row.done_count) == ("running", 100)
    assert ExportPart.objects.filter(export_id=export_id).count() == 1


def test_an_export_that_is_cancelled_meanwhile_leaves_nothing(log, settings, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 100)
    export_id = ask(log)

    def cancel(job):
        Export.objects.filter(pk=job.pk).update(status="cancelled")

    running.run_export(export_id=export_id, on_part=cancel)

    assert not (settings.LEDGER_EXPORTS_DIR / str(export_id)).exists()


def test_a_slice_that_is_over_gives_others_their_turn(log, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 100)
    monkeypatch.setattr(limits, "EXPORT_SLICE_SECONDS", -1.0)
    export_id = ask(log)

    turns = 1
    while running.run_export(export_id=export_id):
        turns += 1

    row = Export.objects.get(pk=export_id)
    assert row.status == "ready"
    assert row.turn == turns > 4


def redact(*, comment="c1"):
    """Erase a value and say so, as a redaction does."""
    entry = Entry.objects.filter(kind="vote.cast").earliest("pk")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audit_payload SET salt = NULL, value = NULL WHERE entry_id = %s", (entry.pk,)
        )
    place = {"stream": str(entry.stream), "seq": entry.seq, "names": ["comment", "source"]}
    with transaction.atomic():
        store.append(
            stream="ledger", drafts=(draft(kind="payload.redacted", data={"places": [place]}),)
        )


def test_a_redaction_that_is_committed_after_later_entries_is_noticed(log):
    export_id = ask(log)
    is_written, may_commit = threading.Event(), threading.Event()

    def redact_slowly():
        with transaction.atomic():
            redact()
            is_written.set()
            assert may_commit.wait(30)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(redact_slowly)
        assert is_written.wait(30)
        add(draft(kind="note.added"))  # its id is higher than that of the redaction

        def commit(_job):
            may_commit.set()
            slow.result(30)

        running.run_export(export_id=export_id, on_part=commit)

    assert Export.objects.get(pk=export_id).restart_count == 1


def test_a_bundle_is_begun_anew_when_a_value_is_redacted_meanwhile(log, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 100)
    export_id = ask(log)
    seen: list[int] = []

    def overtake(job):
        if not seen:
            redact()
            seal()
        seen.append(job.done_count)

    running.run_export(export_id=export_id, on_part=overtake)
    ended = finish(export_id)

    assert (ended.status, ended.restart_count) == ("ready", 1)
    assert Entry.objects.filter(kind="payload.redacted", sealed__leaf_index__lt=ended.tree_size)
    assert ended.done_count == ended.total_count


def test_a_worker_that_was_taken_for_dead_overwrites_nothing(log, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_PART_ENTRY_COUNT", 100)
    export_id = ask(log)
    late: list[Export] = []

    def fall_asleep(job):
        if not late:
            late.append(Export.objects.get(pk=job.pk))
            Export.objects.filter(pk=job.pk).update(lease_until=now() - timedelta(seconds=1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run_export(export_id=export_id, on_part=fall_asleep)

    def wake_up(job):
        old = late[0]
        selection = running._select(old)
        if job.done_count == 200:
            write_part(job=old, after_leaf=150, number=1, source="x", selection=selection)
            mine = ExportPart.objects.get(export_id=job.pk, number=1)
            for file in mine.files:
                path = files.part_path(export_id=job.pk, name=file["name"])
                assert sha256(path.read_bytes()).hexdigest() == file["sha256_hex"]

    running.run_export(export_id=export_id, on_part=wake_up)

    assert finish(export_id).status == "ready"


def test_a_bundle_that_is_overtaken_again_and_again_is_given_up(log):
    export_id = ask(log)
    for _ in range(limits.EXPORT_RESTART_COUNT_MAX + 1):
        running.run_export(export_id=export_id, on_part=lambda _: redact())

    row = Export.objects.get(pk=export_id)
    assert (row.status, row.error_code) == ("failed", "audit.export_overtaken")


def test_a_bundle_that_may_hold_what_was_redacted_since_is_deleted_at_once(log, settings):
    bundle, lines = finish(ask(log)).pk, finish(ask(log, ExportFormat.JSONL)).pk
    assert sweeping.sweep_exports() == 0

    redact()
    moved = sweeping.sweep_exports()

    assert moved == 1
    assert not (settings.LEDGER_EXPORTS_DIR / str(bundle)).exists()
    assert Export.objects.get(pk=bundle).status == "expired"
    assert Export.objects.get(pk=lines).status == "ready"
    last = json.loads(bytes(Entry.objects.filter(kind="export.expired").get().body))
    assert last["reason"] == "redaction"


def test_while_a_legal_hold_stands_no_file_expires(log):
    export_id = finish(ask(log)).pk
    Export.objects.filter(pk=export_id).update(expires_at=now() - timedelta(days=1))
    hold = Hold.objects.create(
        kind="project",
        target_id=log.project.pk,
        label="acme",
        reason="a case",
        reference="",
        placed_by=log.users["aud"].pk,
        placed_at=now(),
    )

    held = sweeping.sweep_exports()
    Hold.objects.filter(pk=hold.pk).update(released_at=now(), released_by=log.users["aud"].pk)
    let_go = sweeping.sweep_exports()

    assert (held, let_go) == (0, 1)
    assert Export.objects.get(pk=export_id).status == "expired"


def test_a_disk_that_fails_fails_the_export_and_says_so(log, settings, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, where the folder should be")
    settings.LEDGER_EXPORTS_DIR = blocked
    export_id = ask(log)

    running.run_export(export_id=export_id)

    row = Export.objects.get(pk=export_id)
    assert (row.status, row.error_code) == ("failed", "audit.export_failed")
    assert Entry.objects.filter(kind="export.failed").count() == 1


def test_a_bundle_over_its_bounds_is_refused_with_advice(log, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_BUNDLE_BYTES_MAX", 10_000)
    export_id = ask(log)

    running.run_export(export_id=export_id)

    row = Export.objects.get(pk=export_id)
    assert (row.status, row.error_code) == ("failed", "audit.export_too_large")


def test_an_operator_exports_without_a_web_server(log, tmp_path, capsys):
    target = tmp_path / "all.jsonl"

    call_command("ledger", "export", "whole", "--as", "aud", "--format", "jsonl", "--to", target)

    export = Export.objects.get()
    lines = target.read_bytes().splitlines()
    assert len(lines) == export.done_count > ENTRY_COUNT
    assert export.sha256 in capsys.readouterr().out
    entry = json.loads(bytes(Entry.objects.get(kind="export.requested").body))
    assert (entry["via"], entry["actor"]["id"]) == ("command", str(log.users["aud"].pk))


def test_an_operator_has_the_rights_of_the_account_that_is_named(log, tmp_path):
    log.user("stan")
    target = str(tmp_path / "all.zip")

    with pytest.raises(CommandError):
        call_command("ledger", "export", "whole", "--as", "stan", "--to", target)
    with pytest.raises(CommandError):
        call_command("ledger", "export", "whole", "--as", "nobody", "--to", target)

    assert not Export.objects.exists()
    assert Entry.objects.filter(kind="access.refused").count() == 1

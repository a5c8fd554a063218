"""The keeper: jobs that never stop each other, one doer a job, and processes that are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from io import StringIO
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from audit import keeping
from audit.domain.errors import EntryMissingError
from audit.keeping import Job, Turn, keep, list_jobs, register_job
from core.kernel import limits
from core.settings.env import BASE_DIR
from tests.integration.outward.conftest import cursor_of
from tests.integration.outward.log import list_leaves, seal, write

pytestmark = pytest.mark.django_db(transaction=True)


def _job(run_once, *, name="t.job", seconds=0.01):
    return Job(name=name, run_once=run_once, seconds=seconds)


def _fail():
    raise DatabaseError("gone")


def test_a_job_that_fails_comes_later_and_later_and_starts_anew_when_it_works():
    answers = iter([_fail, _fail, _fail, lambda: 3, lambda: 0])

    def answer():
        return next(answers)()

    turn = Turn(job=_job(answer, seconds=1.0))

    waits = [turn.take() for _ in range(5)]

    assert [round(wait, 0) for wait in waits[:3]] == pytest.approx([2, 4, 8], abs=1)
    assert waits[3] == 0.0, "what did something is asked again at once"
    assert 1.0 <= waits[4] <= 1.1
    assert turn.fault_count == 0
    turn.release()


def test_the_wait_has_a_bound():
    turn = Turn(job=_job(_fail, seconds=60.0), fault_count=50)

    assert turn.take() <= limits.KEEPER_SECONDS_MAX * 1.1


def test_one_keeper_does_a_job_and_another_goes_on_when_it_is_gone(at_once):
    done = []

    def doing(name):
        def do():
            done.append(name)
            return 0

        return do

    first = Turn(job=_job(doing("first")))
    first.take()

    def other():
        second = Turn(job=_job(doing("second")))
        second.take()
        connection.close()

    assert at_once(other) == [None]
    assert done == ["first"], "its lock is taken"
    first.release()
    assert at_once(other) == [None]
    assert done == ["first", "second"]


def test_an_idle_turn_of_the_doer_asks_nothing_but_the_job():
    turn = Turn(job=_job(lambda: 0))
    turn.take()

    with CaptureQueriesContext(connection) as queries:
        turn.take()

    assert len(queries) == 0
    turn.release()


def test_a_connection_that_was_lost_has_lost_the_lock_too():
    turn = Turn(job=_job(lambda: 0))
    turn.take()
    connection.close()

    with CaptureQueriesContext(connection) as queries:
        turn.take()

    assert any("pg_try_advisory_lock" in query["sql"] for query in queries)
    turn.release()


def test_a_failing_and_a_hanging_job_keep_no_other_from_its_turn():
    stopping, hung = threading.Event(), threading.Event()
    counts = {"good": 0}

    def hang():
        hung.set()
        stopping.wait(30)
        return 0

    def work():
        counts["good"] += 1
        if counts["good"] == 20:
            stopping.set()
        return 0

    jobs = [_job(hang, name="t.hangs"), _job(_fail, name="t.fails"), _job(work, name="t.works")]
    started = time.monotonic()
    keep(jobs=jobs, stopping=stopping)

    assert hung.is_set()
    assert counts["good"] >= 20
    assert time.monotonic() - started < 25


def test_jobs_are_registered_by_name(monkeypatch):
    monkeypatch.setattr(keeping, "_jobs", {})
    monkeypatch.setattr(keeping, "_sources", {})
    register_job("b", lambda: 0, 1.0)
    register_job("a", lambda: 0, 1.0)
    register_job("b", lambda: 1, 2.0)
    keeping.register_source("s", lambda: [_job(lambda: 0, name="c")])

    assert [(job.name, job.seconds) for job in list_jobs()] == [("a", 1.0), ("b", 2.0), ("c", 0.01)]


def test_the_settings_name_the_jobs(settings):
    settings.LEDGER_SINKS = [{"name": "siem", "kind": "syslog", "host": "siem.example"}]
    settings.LEDGER_ANCHORS = [{"name": "vault", "kind": "file", "folder": "/nowhere"}]

    assert {"forward:siem", "anchor:vault"} <= {job.name for job in list_jobs()}


def test_once_does_everything_and_says_what_failed(monkeypatch):
    monkeypatch.setattr(keeping, "_sources", {})
    left = [3]

    def work():
        left[0] -= 1
        return max(left[0], 0)

    def refuse():
        raise EntryMissingError(entry=1)

    monkeypatch.setattr(keeping, "_jobs", {})
    register_job("works", work, 1.0)
    register_job("fails", refuse, 1.0)
    out = StringIO()

    with pytest.raises(SystemExit) as caught:
        call_command("ledger", "keep", "--once", stdout=out)
    assert caught.value.code == 1
    assert out.getvalue() == "fails: failed\nworks: done\n"
    assert left == [0]

    call_command("ledger", "keep", "--once", "--job", "works", stdout=StringIO())
    with pytest.raises(SystemExit) as caught:
        call_command("ledger", "keep", "--once", "--job", "none", stderr=StringIO())
    assert caught.value.code == 2


def _start_keeper(sink):
    """Start a real keeper on this test's database."""
    given = connection.settings_dict
    host, port = quote(given["HOST"], safe=""), given["PORT"]
    account = quote(given["USER"], safe="")
    place = f"{host}:{port}" if port else host
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{account}@{place}/{given['NAME']}",
        "DJANGO_SETTINGS_MODULE": "core.settings.test",
        "PROCESS_ROLE": "keeper",
        "LEDGER_SINKS": json.dumps([sink]),
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "ledger", "keep", "--job", "forward:siem"],
        cwd=BASE_DIR,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(holds, *, seconds=60.0):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def test_killed_keepers_lose_nothing_and_one_that_is_told_to_stop_ends(receiver, authority):
    sink = {
        "name": "siem",
        "kind": "syslog",
        "host": "127.0.0.1",
        "port": receiver.port,
        "private": True,
        "ca_file": str(authority.file),
        "format": "entry",
    }
    total = 0
    for round_number in range(3):
        write(600)
        total = seal()
        keeper = _start_keeper(sink)
        enough = len(receiver.messages) + 40 * round_number
        _wait_for(lambda enough=enough: len(receiver.messages) > enough)
        keeper.send_signal(signal.SIGKILL)
        keeper.wait()
        with connection.cursor() as cursor:  # nobody waits 45 s for the lease of a dead one
            cursor.execute("UPDATE audit_outward_cursor SET next_at = clock_timestamp()")

    keeper = _start_keeper(sink)
    _wait_for(lambda: cursor_of("siem").position == total)
    keeper.send_signal(signal.SIGTERM)

    assert keeper.wait(timeout=30) == 0
    leaves = [leaf.hex().encode() for leaf in list_leaves()]
    seen = [message.partition(b'leaf="')[2][:64] for message in receiver.messages]
    first_seen = list(dict.fromkeys(seen))
    assert first_seen == leaves, "every leaf, and first in the order of the log"

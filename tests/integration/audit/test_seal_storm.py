"""Sixteen appenders, and sealers that are killed all the time: nothing is lost, nothing reordered.

Eight seconds in `make test`; `make seal-storm SECONDS=60` goes on for longer and prints what came
of it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import quote

import pytest
from django.db import connection, transaction

from audit import store
from audit.models import Leaf
from audit.selectors.verification import verify_ledger
from core.kernel.clock import SYSTEM_CLOCK
from core.settings.env import BASE_DIR
from tests.fakes.drafts import draft
from tests.integration.audit.streams import append, open_stream
from tests.sealed import ORIGIN, SealedLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]

SECONDS = float(os.environ.get("SEAL_STORM_SECONDS", "8"))
SEED = int(os.environ.get("SEAL_STORM_SEED", "6"))
APPENDER_COUNT = 16
PAUSE_SECONDS = 0.004  # of an appender, so that sealers keep up and many batches are small
SETTLE_SECONDS = 120.0

# Everything that must hold at any moment, in ONE statement: checks of several moments would
# contradict each other.
SAMPLE = """
WITH leaves AS (
    SELECT l.leaf_index, e.stream, e.seq,
           row_number() OVER (PARTITION BY e.stream ORDER BY l.leaf_index) AS place
    FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id)
SELECT (SELECT count(*) FROM audit_entry),
       (SELECT count(*) FROM audit_pending),
       count(*), COALESCE(max(leaf_index) + 1, 0),
       (SELECT COALESCE(max(tree_size), 0) FROM audit_tree_head),
       count(*) FILTER (WHERE seq <> place)
FROM leaves"""


class Appenders:
    """Sixteen threads that append, and one that looks at everything in one statement."""

    def __init__(self):
        self.appended: Counter[int] = Counter()
        self.samples: list[tuple[int, ...]] = []
        self.faults: list[BaseException] = []
        self._stopping = threading.Event()
        acts = [*((self._write, n) for n in range(APPENDER_COUNT)), (self._sample,)]
        self._threads = [threading.Thread(target=self._guarded, args=act) for act in acts]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join(SETTLE_SECONDS)

    def _write(self, number):
        """Append to a stream of its own, or, one in four, to one that others append to as well.

        Those hold their transaction for a while, so that entries commit in another order than that
        of their ids.
        """
        head = open_stream() if number % 4 else None
        while not self._stopping.is_set():
            entry = draft(at=SYSTEM_CLOCK.now(), data={"n": number})
            if head is not None:
                head, count = append(head, *[entry] * (1 + number % 3))
                self.appended[number] += count
                self._stopping.wait(PAUSE_SECONDS)
                continue
            with transaction.atomic():
                store.append(stream="access", drafts=[entry])
                self._stopping.wait(0.03 * (1 + number % 5))
            self.appended[number] += 1

    def _sample(self):
        while not self._stopping.is_set():
            with connection.cursor() as cursor:
                cursor.execute(SAMPLE)
                self.samples.append(cursor.fetchone())
            self._stopping.wait(0.05)

    def _guarded(self, act, *arguments):
        try:
            act(*arguments)
        except BaseException as error:  # noqa: BLE001 - the test judges it
            self.faults.append(error)
        finally:
            connection.close()


def test_sealers_that_are_killed_lose_nothing_while_sixteen_append(tmp_path):
    log = SealedLog(tmp_path)
    with nursery_of(log) as nursery, Appenders() as appenders:
        output, _ = nursery.communicate(timeout=SECONDS + SETTLE_SECONDS)
    assert nursery.returncode == 0
    told = json.loads(output)

    assert appenders.faults == []
    assert [row for row in appenders.samples if not holds(row)] == []
    assert len(appenders.samples) > SECONDS / 4, "each reads everything, so a big ledger has few"
    assert told["killed"] > SECONDS / 2
    assert set(told["ended"]) <= {0, -signal.SIGTERM}
    log.seal()
    found = verify_ledger()
    assert found.discrepancy is None, found.discrepancy
    assert found.entry_count == found.leaf_count == 1 + sum(appenders.appended.values())
    assert found.pending_count == 0
    late = count_late()
    print(
        f"\n{found.entry_count:,} entries under {found.head_count:,} heads in {SECONDS:.0f} s, "
        f"{told['killed']} sealers killed, {len(appenders.samples)} samples, {late} entries "
        f"committed late, most that waited at once {max(row[1] for row in appenders.samples):,}"
    )
    assert late > 0, "nothing committed late, so this proved less than it should"


def holds(row):
    entries, pending, leaves, end, size, misplaced = row
    return entries == leaves + pending and leaves == end == size and misplaced == 0


def count_late():
    """Return how many entries have a place after one with a larger id."""
    ids = list(Leaf.objects.order_by("pk").values_list("entry_id", flat=True))
    return sum(1 for before, after in pairwise(ids) if after < before)


@contextmanager
def nursery_of(log):
    """Start what keeps sealers and kills them; it is ready to."""
    place = connection.settings_dict
    host, port = quote(place["HOST"], safe=""), place["PORT"] or 5432
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.seal_nursery", str(SECONDS), str(SEED)],
        cwd=BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "core.settings.test",
            "PROCESS_ROLE": "sealer",
            "DATABASE_URL": f"postgresql://{quote(place['USER'])}@/{place['NAME']}"
            f"?host={host}&port={port}",
            "LEDGER_ORIGIN": ORIGIN,
            "LEDGER_KEYS_DIR": str(log.folder.path),
            "LOG_LEVEL": "WARNING",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert nursery.stdout is not None
        assert nursery.stdout.readline() == "ready\n"
        yield nursery
    finally:
        nursery.kill()
        nursery.wait()

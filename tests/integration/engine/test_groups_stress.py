"""A concurrency group with real connections, of which some are killed at any moment.

Judged by what is on record: never more runs between `run.admitted` and `run.closed` than the group
allows, each admitted once, nobody left behind, and no turn or note that nobody needs.
"""

import random
import threading
from contextlib import suppress

import pytest
from django.db import DatabaseError, connection

from audit import store as ledger
from core.kernel.errors import PlatformError
from countersign import function
from engine import loading
from engine.domain.plan import Concurrency, OnConflict, Plan, Step, Uses
from engine.flow_control import admission, groups
from engine.models import Run, Turn, TurnChange
from engine.services.runs import cancel_run
from engine.sweep import sweep_once
from tests.integration.engine.threads import at_once
from tests.world import Hand, World, fold

pytestmark = pytest.mark.django_db(transaction=True)

START_COUNT = 12  # of each starter
MOST = 2


@function("t.short")
def _short(**_):
    return None


def plan(name, does):
    verb = Uses(action="python/call@1", arguments={"function": "t.short"})
    return Plan(
        name=name,
        title="t",
        inputs_schema={"type": "object"},
        variables={},
        steps={"a": Step(id="a", verb=verb), "b": Step(id="b", verb=verb, needs=("a",))},
        outputs={},
        concurrency=Concurrency(group="g", run_count_max=MOST, on_conflict=does),
    )


class Crowd:
    """Starters, drivers, one who cancels, one who looks, and one who kills their connections."""

    def __init__(self, world, seed):
        self.world, self.dice = world, random.Random(seed)
        self.started, self.stop = 0, threading.Event()
        self.pids: set[int] = set()

    def _register(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self.pids.add(cursor.fetchone()[0])

    def _insist(self, act):
        """Do something until no connection dies under it."""
        while True:
            try:
                self._register()
                return act()
            except DatabaseError:
                connection.close()

    def starts(self, slug):
        def run():
            for number in range(START_COUNT):
                self._insist(lambda n=number: self.world.start(slug, by="mara", key=f"k{n}"))

        return run

    def drives(self):
        hand = self._insist(Hand)
        while not self.stop.is_set():
            try:
                self._register()
                for run_id in list(Run.objects.filter(status="READY").values_list("pk", flat=True)):
                    hand.drive(run_id)
            except DatabaseError:
                connection.close()
                with suppress(DatabaseError):
                    hand.die()
                hand = self._insist(Hand)

    def looks(self):
        """Do what the sweep does, without waiting until a note is old."""
        while not self.stop.is_set():
            with suppress(DatabaseError):
                self._register()
                groups.look(project_id=self.world.project.pk, name="g")
                sweep_once()
                continue
            connection.close()

    def cancels(self):
        principal = self.world.principal("mara")
        for _ in range(6):
            self.stop.wait(0.1)
            with suppress(DatabaseError, PlatformError):
                row = Run.objects.exclude(status="CLOSED").order_by("?").first()
                if row is not None:
                    cancel_run(principal=principal, run_id=row.pk, reason="enough")

    def kills(self):
        for _ in range(25):
            self.stop.wait(0.05)
            pid = self.dice.choice(sorted(self.pids)) if self.pids else None
            if pid is not None:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
                self.pids.discard(pid)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_group_holds_under_killed_connections(seed):
    loading.forget_all()
    admission.forget_measures()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.publish(plan("waits", OnConflict.QUEUE), author="mara")
    world.publish(plan("pushes", OnConflict.CANCEL_IN_PROGRESS), author="mara")
    crowd = Crowd(world, seed)

    def act():
        try:
            parts = (crowd.starts("waits"), crowd.starts("pushes"), crowd.cancels, crowd.kills)
            at_once(*parts)
        finally:
            crowd.stop.set()

    at_once(act, crowd.drives, crowd.drives, crowd.looks)
    finish(world)

    runs = list(Run.objects.all())
    assert len(runs) == 2 * START_COUNT
    assert {run.status for run in runs} == {"CLOSED"}
    assert (Turn.objects.count(), TurnChange.objects.count()) == (0, 0)
    check_record(runs)


def finish(world):
    """Let what is left come to its end."""
    hand = Hand()
    for _ in range(200):
        hand.beat()
        sweep_once()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE engine_turn_change SET at = at - interval '1 minute'")
            # Whoever drove it is gone: their leases run out at once.
            cursor.execute(
                "UPDATE engine_worker SET lease_until = clock_timestamp() WHERE id <> %s",
                [hand.worker],
            )
            cursor.execute(
                "UPDATE engine_run SET wake_at = clock_timestamp() "
                "WHERE status = 'WAITING' AND wake_at IS NOT NULL"
            )
        for run_id in Run.objects.filter(status="READY").values_list("pk", flat=True):
            hand.drive(run_id)
        if not Run.objects.exclude(status="CLOSED").exists() and not TurnChange.objects.exists():
            return


def check_record(runs):
    ends = []
    for run in runs:
        fold(run.pk)
        entries = list(ledger.read_stream(stream=run.pk, limit=200))
        admitted = [entry.at for entry in entries if entry.kind == "run.admitted"]
        assert len(admitted) <= 1
        assert entries[-1].kind == "run.closed"
        if admitted:
            ends += [(admitted[0], 1), (entries[-1].at, -1)]
        else:
            assert run.outcome == "cancelled"
    going = 0
    for _, change in sorted(ends):
        going += change
        assert going <= MOST

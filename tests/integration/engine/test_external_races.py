"""External tasks with real concurrency: claimed once, ended once, whoever comes at once."""

import pytest

from engine import loading
from engine.domain.errors import TaskEndedError, TaskGoneError
from engine.domain.plan import Map, Plan, Step, Uses
from engine.external.claiming import claim_tasks
from engine.external.ending import Completion, Failure, end_task, sweep_claims
from engine.models import Claim, Run
from tests.integration.engine.threads import at_once
from tests.world import Hand, World, fold

pytestmark = pytest.mark.django_db(transaction=True)

ITEM_COUNT = 24


@pytest.fixture
def world():
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher")
    for name in ("wes", "wim"):
        world.user(name, "worker")
    body = Step(id="item", verb=Uses(action="external/task@1", arguments={"topic": "t"}))
    items = str(list(range(ITEM_COUNT)))
    world.publish(
        Plan(
            name="job",
            title="t",
            inputs_schema={"type": "object"},
            variables={},
            steps={"all": Step(id="all", verb=Map(items=items, name="item", body=body))},
            outputs={},
        ),
        author="mara",
    )
    return world


@pytest.fixture
def run_id(world):
    started = world.start("job", by="mara").run_id
    Hand().drive(started)
    return started


def claims(world, who, *, count=10):
    return claim_tasks(
        principal=world.principal(who),
        project_slug=world.slug,
        topics=["t"],
        worker=who,
        count=count,
        lease_seconds=60,
    )


def test_many_programs_at_once_claim_each_task_once_while_the_run_is_driven(world, run_id):
    def work(who):
        done = 0
        while tasks := claims(world, who, count=3):
            for task in tasks:
                end_task(
                    principal=world.principal(who),
                    task_id=task.id,
                    token=task.token,
                    told=Completion(result=done),
                )
                done += 1
        return done

    def drive():
        hand = Hand()
        for _ in range(20):
            hand.beat()
            hand.drive(run_id)
        return 0

    counts = at_once(
        lambda: work("wes"), lambda: work("wim"), lambda: work("wes"), drive, lambda: work("wim")
    )

    assert sum(counts) == ITEM_COUNT
    assert Claim.objects.filter(status="completed").count() == ITEM_COUNT
    last = Hand()
    last.drive(run_id)
    run = Run.objects.get(pk=run_id)
    assert (run.status, run.outcome) == ("CLOSED", "succeeded")
    assert fold(run_id).closed


def test_of_two_ends_at_once_one_counts(world, run_id):
    (task,) = claims(world, "wes", count=1)

    def tell(told):
        try:
            return end_task(
                principal=world.principal("wes"), task_id=task.id, token=task.token, told=told
            ).replayed
        except TaskEndedError:
            return "refused"

    first, second = at_once(
        lambda: tell(Completion(result=1)), lambda: tell(Failure(kind="transient", message="no"))
    )

    assert sorted(map(str, (first, second))) == ["False", "refused"]


def test_an_end_and_the_sweep_at_once_agree(world, run_id):
    tasks = claims(world, "wes", count=10)
    Claim.objects.update(lease_until="2020-01-01T00:00:00Z")

    def tell(task):
        try:
            end_task(
                principal=world.principal("wes"),
                task_id=task.id,
                token=task.token,
                told=Completion(result=1),
            )
        except TaskGoneError:
            return 0
        return 1

    *counted, _ = at_once(*[lambda task=task: tell(task) for task in tasks[:6]], sweep_claims)
    sweep_claims()

    assert Claim.objects.filter(status="completed").count() == sum(counted)
    assert Claim.objects.filter(status="lost").count() == 10 - sum(counted)
    Hand().drive(run_id)
    assert fold(run_id) is not None

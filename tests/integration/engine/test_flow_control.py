"""Pauses, the backlog and quotas: what does not begin, and what waits for it."""

from datetime import timedelta

import pytest
from django.db import connection

from audit.models import Entry
from core.identity.domain.errors import AccessForbiddenError
from core.kernel import ids
from core.kernel.clock import FakeClock
from engine import loading
from engine.domain.errors import (
    BackloggedError,
    PausedError,
    QuotaExceededError,
    ReasonMissingError,
    WorkflowMissingError,
)
from engine.flow_control import admission, quotas
from engine.models import Firing, QuotaUse, Run
from engine.selectors.flow_control import get_pauses, get_project_flow
from engine.services import flow_control
from tests.integration.engine.plans import plan_of_one_step
from tests.integration.engine.threads import at_once
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world():
    loading.forget_all()
    admission.forget_measures()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.user("vic", "viewer")
    world.user("ada", "project_admin")
    world.publish(plan_of_one_step(), author="mara")
    world.publish(plan_of_one_step("other"), author="mara")
    return world


@pytest.fixture
def start(world):
    def begin(slug="job", **of):
        return world.start(slug, by="mara", **of).run_id

    return begin


@pytest.fixture
def pause(world):
    def do(slug="job", *, by="mara", reason="the target is down"):
        return flow_control.pause_workflow(
            principal=world.principal(by),
            project_slug=world.slug,
            workflow_slug=slug,
            reason=reason,
        )

    return do


def of_project(world, verb, *, by="mara"):
    act = getattr(flow_control, f"{verb}_project")
    return act(principal=world.principal(by), project_slug=world.slug, reason="a freeze")


def set_quota(world, *, open_runs=None, hour=None, day=None, by="ada"):
    return flow_control.set_quota(
        principal=world.principal(by),
        project_slug=world.slug,
        open_run_count_max=open_runs,
        hour_start_count_max=hour,
        day_start_count_max=day,
    )


def recorded(kind):
    return Entry.objects.filter(kind=kind).count()


def test_no_run_of_a_paused_workflow_begins_and_others_do(world, start, pause):
    assert pause() is True

    with pytest.raises(PausedError, match="the target is down") as caught:
        start()

    assert caught.value.code == "engine.paused"
    assert start("other")
    assert recorded("workflow.paused") == 1


def test_resumed_it_begins_again(world, start, pause):
    pause()

    resumed = flow_control.resume_workflow(
        principal=world.principal("mara"),
        project_slug=world.slug,
        workflow_slug="job",
        reason="it is up",
    )

    assert resumed is True
    assert start()
    assert recorded("workflow.resumed") == 1


def test_pausing_twice_changes_nothing(pause):
    assert [pause(), pause(reason="again")] == [True, False]
    assert recorded("workflow.paused") == 1


def test_many_who_pause_at_once_pause_once(pause):
    assert sorted(at_once(*[pause] * 4)) == [False, False, False, True]


def test_a_paused_project_pauses_all_its_workflows_and_each_stays_as_it_was(world, start, pause):
    pause("other")
    of_project(world, "pause")
    with pytest.raises(PausedError, match="a freeze"):
        start("other")

    of_project(world, "resume")

    assert start()
    with pytest.raises(PausedError, match="the target is down"):
        start("other")


def test_a_key_that_has_started_a_run_is_answered_while_it_is_paused(start, pause):
    before = start(key="k")
    pause()

    assert start(key="k") == before


def test_who_may_not_operate_does_not_pause(world, pause):
    with pytest.raises(AccessForbiddenError):
        pause(by="vic")
    with pytest.raises(AccessForbiddenError):
        of_project(world, "pause", by="vic")


def test_who_sees_nothing_finds_nothing_to_pause(world, pause):
    world.user("stranger")

    with pytest.raises(WorkflowMissingError):
        pause(by="stranger")


def test_a_pause_needs_a_reason(pause):
    with pytest.raises(ReasonMissingError):
        pause(reason="  ")


def test_readers_see_who_paused_and_why(world, pause):
    pause()

    found = get_pauses(
        principal=world.principal("vic"), project_slug=world.slug, workflow_slug="job"
    )

    assert found.workflow is not None
    assert (found.workflow.reason, found.workflow.paused_by) == ("the target is down", "mara")
    assert (found.is_paused, found.project, found.may_pause) == (True, None, False)


def test_a_refused_start_draws_no_number(start, pause):
    first = Run.objects.get(pk=start()).number
    pause()
    with pytest.raises(PausedError):
        start()

    assert Run.objects.get(pk=start("other")).number == first + 1


def test_so_many_runs_of_a_workflow_wait_for_a_worker_and_no_more(settings, start):
    settings.WORKFLOW_READY_RUNS_MAX = 2
    ids = [start(), start()]

    with pytest.raises(BackloggedError, match="2 runs of the workflow") as caught:
        start()

    assert caught.value.details["retry_after_seconds"] == 5.0
    assert start("other")
    Run.objects.filter(pk=ids[0]).update(status="WAITING", wake_at=None)
    assert start()


def test_so_many_runs_of_a_project_wait_and_no_more(settings, start):
    settings.PROJECT_READY_RUNS_MAX = 2
    start()
    start("other")

    with pytest.raises(BackloggedError, match="2 runs of the project"):
        start()


def test_an_ordinary_start_asks_no_more_statements_than_it_did(start):
    start()  # what is kept between starts is kept now
    seen: list[str] = []
    with connection.execute_wrapper(_counting(seen)):
        start()

    assert len([sql for sql in seen if "nextval" in sql]) == 1
    assert not [sql for sql in seen if "engine_quota_use" in sql or "engine_turn" in sql]


def _counting(seen):
    def count(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    return count


def test_a_quota_of_starts_is_kept_by_many_at_once(world, start):
    set_quota(world, hour=3)

    def try_start():
        try:
            return bool(start())
        except QuotaExceededError:
            return False

    assert sum(at_once(*[try_start] * 8)) == 3
    assert Run.objects.count() == 3


def test_a_start_over_the_quota_says_when_to_come_back(world, start):
    set_quota(world, day=1)
    start()

    with pytest.raises(QuotaExceededError, match="at most 1 runs in a day") as caught:
        start()

    assert 0 < caught.value.details["retry_after_seconds"] <= 86_400


def test_a_start_that_fails_uses_nothing_of_the_day(world, start):
    set_quota(world, hour=1, day=5)
    start()
    with pytest.raises(QuotaExceededError):
        start()

    used = dict(QuotaUse.objects.values_list("span", "count"))

    assert used == {"hour": 1, "day": 1}


def test_a_quota_of_open_runs_has_room_when_one_closes(world, start):
    set_quota(world, open_runs=2)
    first = start()
    start("other")
    with pytest.raises(QuotaExceededError, match="at most 2 open runs"):
        start()

    Run.objects.filter(pk=first).update(status="CLOSED")
    admission.forget_measures()

    assert start()


def test_the_settings_are_the_quota_of_a_project_without_one(settings, world, start):
    settings.PROJECT_STARTS_PER_HOUR_MAX = 1
    start()
    with pytest.raises(QuotaExceededError):
        start()

    set_quota(world, hour=0)

    assert start()


def test_only_who_may_change_the_project_sets_its_quota(world):
    with pytest.raises(AccessForbiddenError):
        set_quota(world, open_runs=1, by="mara")


def test_a_quota_is_shown_with_its_use_and_recorded(world, start):
    set_quota(world, open_runs=10, hour=5)
    start()

    flow = get_project_flow(principal=world.principal("ada"), project_slug=world.slug)

    assert flow.own == (10, 5, None)
    assert (flow.limits.open_run_count_max, flow.limits.day_start_count_max) == (10, 0)
    assert (flow.use.open_run_count, flow.use.hour_start_count) == (1, 1)
    assert recorded("project.quota_changed") == 1


def test_old_counts_are_deleted(world, start):
    set_quota(world, hour=5)
    start()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE engine_quota_use SET begins_at = begins_at - interval '3 days'")

    assert quotas.clean() == 1
    assert not Firing.objects.exists()


def test_a_measure_is_trusted_for_a_moment_and_counts_what_was_let_in():
    clock = FakeClock()
    measures = admission.Measures(clock=clock)
    project_id = ids.uuid7()
    assert measures.admit(project_id, most=2) is None
    measures.keep(project_id, 1)

    assert measures.admit(project_id, most=2) is True
    assert measures.admit(project_id, most=2) is None
    measures.keep(project_id, 2)
    assert measures.admit(project_id, most=2) is False
    clock.advance(timedelta(seconds=1))
    assert measures.admit(project_id, most=2) is None

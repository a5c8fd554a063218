"""Pausing a workflow or a project, and setting a quota, in the portal."""

import pytest

from engine.flow_control import admission, groups
from engine.models import Pause, Quota, Run
from tests.integration.portal_runs.conftest import field, send, text, words

FLOW = "/workflows/acme/ship/"
PROJECT = "/projects/acme/"
START = f"{FLOW}start/"


@pytest.fixture(autouse=True)
def saved(yard):
    admission.forget_measures()
    yard.save()


def test_an_operator_pauses_a_workflow_and_everybody_reads_who_and_why(yard):
    rex = yard.browse("rex")

    answer = send(rex, f"{FLOW}pause/", reason=" the target is down ")

    assert (answer.status_code, answer["Location"]) == (303, FLOW)
    seen = words(yard.browse("vera").get(FLOW))
    assert "This workflow is paused: no run begins" in seen
    assert "the target is down" in seen
    assert "Resume…" not in seen
    assert "Resume…" in words(rex.get(FLOW))


def test_a_start_of_what_is_paused_keeps_what_was_typed_and_says_why(yard):
    mara = yard.browse("mara")
    page = mara.get(START)
    send(yard.browse("rex"), f"{FLOW}pause/", reason="the target is down")
    typed = {"value-version": "1.2.3", "value-place": '"staging"', "value-count": "2"}

    answer = send(mara, START, page, key=field(page, "key"), rev=field(page, "rev"), **typed)

    assert answer.status_code == 422
    assert "It is paused: the target is down" in words(answer)
    assert 'value="1.2.3"' in text(answer)
    assert not Run.objects.exists()


def test_resumed_it_has_no_banner(yard):
    rex = yard.browse("rex")
    send(rex, f"{FLOW}pause/", reason="x")

    send(rex, f"{FLOW}resume/", reason="y")

    assert not Pause.objects.exists()
    assert "is paused" not in words(rex.get(FLOW))


@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_it_is_asked_again(yard, reason):
    answer = send(yard.browse("rex"), f"{FLOW}pause/", reason=reason)

    assert answer.status_code == 422
    assert "Say why" in words(answer)
    assert not Pause.objects.exists()


def test_who_may_not_operate_reads_that_they_may_not(yard):
    vera = yard.browse("vera")

    assert vera.get(f"{FLOW}pause/").status_code == 403
    assert send(vera, f"{FLOW}pause/", reason="x").status_code == 403
    assert not Pause.objects.exists()


def test_a_project_is_paused_from_its_page(yard):
    rex = yard.browse("rex")
    assert "Pause…" in words(rex.get(PROJECT))

    answer = send(rex, f"{PROJECT}pause/", reason="a freeze")

    assert answer["Location"] == PROJECT
    assert "The project is paused" in words(rex.get(PROJECT))
    assert "The whole project is paused" in words(rex.get(FLOW))


def test_a_quota_is_shown_to_readers_and_set_by_who_may_change_the_project(yard):
    yard.user("ada", "project_admin")
    ada = yard.browse("ada")
    page = ada.get(PROJECT)

    answer = send(ada, PROJECT, page, open_runs="7", starts_per_hour="", starts_per_day="0")

    assert answer.status_code == 303
    assert list(Quota.objects.values_list("open_run_count_max", "day_start_count_max")) == [(7, 0)]
    seen = words(yard.browse("vera").get(PROJECT))
    assert "Open runs 0 7" in seen
    assert "Set the quota" not in seen


def test_a_quota_that_is_no_number_comes_back_with_what_was_typed(yard):
    yard.user("ada", "project_admin")

    answer = send(yard.browse("ada"), PROJECT, open_runs="many", starts_per_hour="1")

    assert answer.status_code == 422
    assert 'value="many"' in text(answer)
    assert 'value="1"' in text(answer)
    assert not Quota.objects.exists()


def test_a_run_that_waits_for_its_turn_says_for_which_and_who_goes_on(yard):
    yard.save(
        "schema: flow/v1\nkind: dag\nname: grouped\nconcurrency: {group: one}\n"
        "steps: {wait: {wait: {event: {type: go, correlate: {}}}}}\n"
    )
    first, second, third = [yard.start("grouped", by="mara") for _ in range(3)]
    groups.look(project_id=yard.project.pk, name="one")

    seen = words(yard.browse("mara").get(f"/runs/{third.run_id}/"))

    assert "Waits for its turn" in seen
    assert f"Group one waits for its turn, 1 before it; now run {first.number}" in seen
    assert "it is next" in words(yard.browse("mara").get(f"/runs/{second.run_id}/"))
    assert "Group one" in words(yard.browse("mara").get(f"/runs/{first.run_id}/"))


def test_a_run_cancelled_for_another_says_so_among_its_events(yard):
    yard.save(
        "schema: flow/v1\nkind: dag\nname: late\nconcurrency: {group: two, on-conflict: "
        "cancel-newest}\nsteps: {wait: {wait: {event: {type: go, correlate: {}}}}}\n"
    )
    first, second = [yard.start("late", by="mara") for _ in range(2)]
    groups.look(project_id=yard.project.pk, name="two")
    yard.hand.drive(second.run_id)

    seen = words(yard.browse("mara").get(f"/runs/{second.run_id}/?tab=events"))

    assert f"The run's group asked to cancel it for another one: run {first.number}" in seen
    assert "has no room for it" in seen

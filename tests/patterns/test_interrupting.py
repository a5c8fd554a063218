"""The patterns in which something is waited for, kept apart, or taken back."""

from core.kernel.types import Json
from engine.domain.moving import EffectKind
from tests.patterns.patterns import check, play, start


def test_milestone_ends_what_was_possible():
    run = play("milestone").receive("open#1/event#1", "order.changed")
    run.receive("open#2/event#1", "order.changed").receive("open#3", "order.paid")

    assert run.ran() == ["packing#1"]
    assert run.state.variables == {"changes": 2}
    assert run.withdrawn()[-1] == ("event", "open#3/event#1")  # past it, nothing can be changed
    check(run, "succeeded")


def test_persistent_trigger():
    run = play("persistent-trigger", {"order": "A-7"})

    awaited = [effect.body for effect in run.effects if effect.kind is EffectKind.AWAIT]
    assert awaited == [{"type": "goods.arrived", "correlate": {"order": "A-7"}}]
    run.receive("delivery#1", "goods.arrived", {"order": "A-7", "dock": 4})
    assert run.executed[-1] == ("unload#1", 1, {"function": "patterns.work", "dock": 4})
    check(run, "succeeded")


def test_cancel_activity():
    run = play("cancel-activity").receive("review#1/called_off#1", "review.called_off")

    assert run.withdrawn() == [("approval", "review#1/decided#1")]
    assert run.ran() == ["note#1"]
    check(run, "succeeded")


def test_cancel_activity_that_was_decided():
    run = play("cancel-activity").resolve("review#1/decided#1", "approved")

    assert run.withdrawn() == [("event", "review#1/called_off#1")]
    assert run.ran() == ["publish#1"]
    check(run, "succeeded")


def test_cancel_activity_that_was_rejected():
    run = play("cancel-activity").resolve("review#1/decided#1", "rejected")

    assert run.ran() == []
    check(run, "rejected")


def test_cancel_case():
    run = play("cancel-case").receive("collect#1", "claim.complete")
    run.receive("assess#1/event#1", "claim.withdrawn")

    assert ("approval", "assess#1") in run.withdrawn()
    check(run, "cancelled")


def test_cancel_case_at_its_start():
    run = play("cancel-case").receive("collect#1/event#1", "claim.withdrawn")

    assert run.withdrawn() == [("event", "collect#1")]
    check(run, "cancelled")


def test_cancel_case_from_outside():
    run = play("cancel-case")
    run.cancel()

    check(run.drive(), "cancelled")


def test_cancel_case_that_goes_its_way():
    run = play("cancel-case").receive("collect#1", "claim.complete").resolve("assess#1", "approved")

    check(run, "succeeded")


def test_cancel_region():
    run = play("cancel-region").receive("shoot#1/scene#1/light#1", "light.set")
    run.receive("shoot#1/rain#1", "weather.rain")

    assert run.withdrawn() == [("event", "shoot#1/scene#1/sound#1")]
    assert run.outcome("shoot#1/scene#1/film#1") == "cancelled"
    assert run.outcome("shoot#1/scene#1/light#1") == "succeeded"
    assert run.ran() == ["reschedule#1"]
    check(run, "succeeded")


def test_cancel_region_that_was_done():
    run = play("cancel-region").receive("shoot#1/scene#1/light#1", "light.set")
    run.receive("shoot#1/scene#1/sound#1", "sound.set")

    assert run.ran() == ["shoot#1/scene#1/film#1", "wrap_up#1"]
    assert run.withdrawn() == [("event", "shoot#1/rain#1")]
    check(run, "succeeded")


def test_cancel_instances():
    run = play("cancel-instances", {"people": ["ada", "mara"]})
    run.receive("survey#1/answered#1/item#2", "survey.answered")
    run.receive("survey#1/stopped#1", "survey.stopped")

    assert run.withdrawn() == [("event", "survey#1/answered#1/item#1")]
    assert run.outcome("evaluate") == "skipped"
    check(run, "succeeded")


def test_cancel_instances_that_all_ended():
    run = play("cancel-instances", {"people": ["ada"]})
    run.receive("survey#1/answered#1/item#1", "survey.answered")

    assert run.ran() == ["evaluate#1"]
    check(run, "succeeded")


def test_complete_instances():
    run = play("complete-instances", {"samples": ["s1", "s2"]})
    run.receive("samples#1/all#1/item#1", "sample.analysed").wait(2 * 86400)

    assert run.withdrawn() == [("event", "samples#1/all#1/item#2")]
    assert run.executed[-1][2]["complete"] is False
    check(run, "succeeded")


def test_complete_instances_that_all_ended():
    run = play("complete-instances", {"samples": ["s1", "s2"]})
    for number in (2, 1):
        run.receive(f"samples#1/all#1/item#{number}", "sample.analysed")

    assert run.executed[-1][2]["complete"] is True
    check(run, "succeeded")


def test_interleaved_parallel_routing():
    run = _one_at_a_time("interleaved-parallel-routing")

    assert run.index("weigh#1") < run.index("bill#1")
    assert sorted(run) == ["bill#1", "measure#1", "weigh#1"]


def test_interleaved_routing():
    ran = _one_at_a_time("interleaved-routing")

    assert ran == ["heart#1", "eyes#1", "ears#1", "report#1"]


def test_critical_section():
    run = play("critical-section")

    assert run.ran() == ["migrate#1/backup#1"]  # the other waits, although nothing executes
    assert run.outcome("reindex") == "held"
    run.resolve("migrate#1/agreed#1", "approved")
    assert run.ran() == ["migrate#1/backup#1", "migrate#1/alter#1", "reindex#1"]
    released = [effect.key for effect in run.effects if effect.kind is EffectKind.RELEASE]
    assert released == ["migrate#1", "reindex#1"]
    check(run, "succeeded")


def test_critical_section_is_left_by_a_no_too():
    run = play("critical-section").resolve("migrate#1/agreed#1", "rejected")

    assert run.ran() == ["migrate#1/backup#1", "reindex#1"]
    check(run, "rejected")


def _one_at_a_time(slug: str) -> list[str]:
    """Play a run in which no step may begin while another executes; returns what ran, in order."""

    def action(given: dict[str, Json]) -> Json:
        together.append(len(run.state.running))
        return {"ok": True}

    together: list[int] = []
    run = start(slug)
    run.actions = dict.fromkeys(("weigh", "measure", "bill", "eyes", "ears", "heart"), action)
    run.drive()
    assert set(together) == {1}
    check(run, "succeeded")
    return run.ran()

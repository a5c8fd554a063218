"""Events of a run in plain words: every kind has a sentence of its own."""

import re
from datetime import timedelta
from uuid import UUID

import pytest

from engine.domain.events import Event, EventKind
from engine.domain.plan import (
    Cache,
    Circuit,
    On,
    Rate,
    StateEvent,
    Stuck,
    Transition,
)
from engine.portal.context.kind_words import KIND_WORDS
from engine.portal.context.sentences import TELLERS, Telling, tell, tell_then
from engine.portal.naming import Titles
from engine.selectors.step_views import StepReader
from tests.constructs import call, each, event, final, group, machine, put, race, state, timer
from tests.plans import boom, plan, uses
from tests.pure_run import START, PureRun

RUN = str(UUID(int=7))
PLACE = "\u2039place\u203a"  # as a name is shown whose value is not known
HELD = (
    f"The mutex “db-{PLACE}” holds back Build; the circuit “api” holds back Fetch; "
    "asked again at 12:01 UTC"
)
PLAN = plan(
    uses("build", mutex="db-${{ inputs.place }}"),
    uses("send", rate=Rate(key="mail", limit=1, seconds=60.0)),
    uses("fetch", circuit=Circuit(key="api", failures=1, window_seconds=1, cooldown_seconds=1)),
    uses("look", cache=Cache(key="k", ttl_seconds=60)),
    each("scan", uses("item")),
    timer("rest"),
    event("hear", of="thing.done"),
    call("child"),
    put("note", values={"round": "1", "name": "'x'"}),
    uses("slow", total_seconds=120.0),
)
SAMPLES = {
    EventKind.RUN_STARTED: {},
    EventKind.RUN_ADMITTED: {},
    EventKind.RUN_OWNED: {"epoch": 3, "worker": "w"},
    EventKind.RUN_MIGRATED: {"rev": 2, "reset": ["gate#1"]},
    EventKind.STEP_STARTED: {},
    EventKind.STEP_COMPLETED: {"key": "scan#1/item#3", "attempt": 2},
    EventKind.ATTEMPT_FAILED: {"key": "build#1", "attempt": 1, "error": "permanent"},
    EventKind.ATTEMPT_LOST: {"key": "build#1", "attempt": 1},
    EventKind.ATTEMPT_UNCERTAIN: {"key": "build#1", "attempt": 1},
    EventKind.ATTEMPT_LATE: {"key": "build#1", "attempt": 1},
    EventKind.ATTEMPT_CLAIMED: {"key": "build#1", "attempt": 1, "topic": "t", "worker": "w 7"},
    EventKind.STEP_ADMITTED: {"key": "build#1", "gate": "mutex"},
    EventKind.STEP_HELD: {"keys": ["build#1", "send#1"], "delay_ms": 90_000},
    EventKind.STEP_REUSED: {"key": "look#1", "from": f"{RUN}:look#1"},
    EventKind.TIMER_FIRED: {"timer": "sleep:rest#1"},
    EventKind.EVENT_AWAITED: {"key": "hear#1", "verb": "event", "type": "thing.done"},
    EventKind.EVENT_RECEIVED: {"key": "hear#1", "event": RUN, "type": "thing.done"},
    EventKind.EVENT_EMITTED: {"key": "hear#1", "event": RUN, "type": "thing.sent"},
    EventKind.CHILD_STARTED: {"key": "child#1", "run": RUN, "detached": False},
    EventKind.STEP_REFUSED: {"key": "child#1", "error": "call-refused"},
    EventKind.CHILD_CLOSED: {"key": "child#1", "run": RUN, "outcome": "failed"},
    EventKind.QUESTION_ASKED: {"key": "build#1", "verb": "question"},
    EventKind.QUESTION_RESOLVED: {"key": "build#1", "choice": "retry"},
    EventKind.WAIT_WITHDRAWN: {"key": "hear#1", "verb": "event"},
    EventKind.APPROVAL_REQUESTED: {"key": "build#1", "verb": "approval"},
    EventKind.APPROVAL_RESOLVED: {"key": "build#1", "outcome": "approved"},
    EventKind.RUN_CANCEL_REQUESTED: {},
    EventKind.RUN_PAUSED: {},
    EventKind.RUN_RESUMED: {},
    EventKind.STEP_RETRY_REQUESTED: {"key": "build#1"},
    EventKind.STEP_SKIP_REQUESTED: {"key": "build#1"},
    EventKind.EVENT_ADDRESSED: {"event": RUN, "type": "thing.done"},
    EventKind.RUN_CLOSED: {"outcome": "succeeded"},
    EventKind.RUN_HALTED: {"code": "engine.nondeterministic"},
}


def make(kind, data=None, *, seq=9, **payloads):
    return Event(kind=kind, at=START, data=data or {}, payloads=payloads, seq=seq)


def say(kind, data=None, *, of=PLAN, names=None, **known):
    return tell(make(kind, data, names=names or {}), Telling(plan=of, **known))


@pytest.mark.parametrize("kind", [*EventKind])
def test_every_kind_of_event_has_a_sentence_and_a_name_of_its_own(kind):
    told = say(kind, SAMPLES[kind])
    others = {say(other, SAMPLES[other]).text for other in EventKind if other is not kind}
    teller = TELLERS[kind]

    assert told.text not in others
    assert kind.value not in told.text
    assert re.match(r"[A-Z]", told.text)
    assert list(TELLERS.values()).count(teller) == 1
    assert list(KIND_WORDS.values()).count(KIND_WORDS[kind]) == 1


@pytest.mark.parametrize("kind", [*EventKind])
def test_a_run_that_cannot_be_read_still_tells_its_events(kind):
    assert say(kind, SAMPLES[kind], of=plan()).text


def test_a_kind_of_a_newer_version_is_named():
    assert say("moon.landed").text == "moon.landed, which this version does not know"


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("step.completed", {"key": "scan#1/item#3"}, "Scan, item 3 succeeded"),
        ("step.completed", {"key": "compensate/build#1"}, "Undo build succeeded"),
        ("step.admitted", {"key": "build#1", "gate": "mutex"}, f"Build got the mutex “db-{PLACE}”"),
        (
            "step.admitted",
            {"key": "send#1", "gate": "attempt", "delay_ms": 5_000},
            "The rate “mail” lets Send begin at 2026-01-01 12:00:05 UTC",
        ),
        (
            "step.admitted",
            {"key": "fetch#1", "gate": "attempt"},
            "The circuit “api” lets Fetch begin",
        ),
        (
            "step.held",
            {"keys": ["build#1", "fetch#1"], "delay_ms": 90_000},
            HELD,
        ),
        (
            "timer.fired",
            {"timer": "sleep:rest#1"},
            "Rest has waited long enough, until 2026-01-01 12:00:00 UTC",
        ),
        (
            "timer.fired",
            {"timer": "deadline:slow#1"},
            "Slow was not done within 2 min, by 2026-01-01 12:00:00 UTC",
        ),
        ("event.awaited", {"key": "hear#1", "type": "a.b"}, "Hear waits for the event “a.b”"),
        ("child.started", {"key": "child#1", "run": RUN}, "Child called child@*"),
        (
            "child.started",
            {"key": "child#1", "run": RUN, "detached": True},
            "Child called child@*, and does not wait for its end",
        ),
        (
            "child.closed",
            {"key": "child#1", "run": RUN, "outcome": "expired"},
            "The run that Child called ended: timed out",
        ),
        ("question.resolved", {"key": "build#1", "choice": "skip"}, "A person had Build skipped"),
        (
            "wait.withdrawn",
            {"key": "child#1", "verb": "call"},
            "Child waits for the run it called no more, which is cancelled",
        ),
        (
            "run.closed",
            {"outcome": "continued", "successor": RUN},
            "The run ended as continued: another one goes on in its place",
        ),
        (
            "run.started",
            {"predecessor": RUN, "state": "in_review"},
            "The run began in the state In review, where another one ended as continued",
        ),
        (
            "run.started",
            {"rerun": {"of": RUN, "step": "deploy#1", "fork": False}},
            "The run began as another one run again, from the step Deploy",
        ),
        (
            "run.started",
            {"rerun": {"of": RUN, "step": "", "fork": True}},
            "The run began as a fork of another one, from its beginning",
        ),
        (
            "run.started",
            {"parent": {"run": RUN, "key": "deploy#1/item#2"}},
            "The run was called by another one, in its step Deploy, item 2",
        ),
        (
            "run.started",
            {"trigger": {"kind": "schedule", "position": 0, "due_at": "2030-01-01T08:00:00Z"}},
            "The run was started by the schedule",
        ),
        (
            "run.started",
            {"trigger": {"kind": "event", "position": 1, "type": "alert.fired", "event": "7"}},
            "The run was started by the event “alert.fired”",
        ),
    ],
)
def test_an_event_names_what_it_is_about(kind, data, text):
    assert say(kind, data).text == text


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("run.started", {"parent": {"run": RUN, "key": "a#1"}}),
        ("run.started", {"predecessor": RUN, "state": "a"}),
        ("run.started", {"rerun": {"of": RUN, "step": "", "fork": False}}),
        ("run.closed", {"outcome": "continued", "successor": RUN}),
        ("child.started", {"key": "child#1", "run": RUN}),
        ("child.closed", {"key": "child#1", "run": RUN, "outcome": "succeeded"}),
        ("step.reused", {"key": "look#1", "from": f"{RUN}:look#1"}),
    ],
)
def test_another_run_is_handed_on(kind, data):
    assert say(kind, data).run_id == UUID(RUN)


def test_a_mutex_that_was_got_holds_back_no_more():
    passed = {"build#1": 4}

    before = tell(
        make("step.held", {"keys": ["build#1"]}, seq=3), Telling(plan=PLAN, passed=passed)
    )
    after = tell(make("step.held", {"keys": ["build#1"]}, seq=5), Telling(plan=PLAN, passed=passed))

    assert before.text == f"The mutex “db-{PLACE}” holds back Build"
    assert after.text == "Its gate holds back Build"


def test_a_mutex_is_named_as_it_was_evaluated():
    assert (
        "“db-berlin”"
        in say(
            "step.admitted", {"key": "build#1", "gate": "mutex"}, mutexes={"build#1": "db-berlin"}
        ).text
    )


def test_a_gate_is_named_as_it_was_evaluated():
    told = say("step.admitted", {"key": "send#1", "gate": "attempt"}, names={"rate": "mail-7"})

    assert told.text == "The rate “mail-7” lets Send begin"


# --- what followed -------------------------------------------------------------------------------


def story(run):
    """Return everything that the events of a run say, in one text."""
    telling = Telling(
        plan=run.plan,
        titles=Titles.over(StepReader(run.decider, run.state).list_steps().steps),
    )
    return " | ".join(
        f"{tell(event, telling).text}; {tell_then(event, telling)}" for event in run.events
    )


def test_items_turns_and_what_followed_are_told():
    run = PureRun(
        plan(each("scan"), put("note", "scan", values={"seen": "2"}), group("all", uses("x"))),
        inputs={"items": [{"name": "eu"}, "us"]},
    ).drive()

    said = story(run)

    assert "began Scan, item 1 of 2: eu, Scan, item 2 of 2: us" in said
    assert "Scan, item 2 of 2: us succeeded" in said
    assert "Note set seen" in said
    assert "finished All" in said


def test_why_something_did_not_happen_is_told():
    run = PureRun(
        plan(
            race("first", uses("fast"), event("slow")),
            uses("bad"),
            uses("after", "bad"),
            uses("never", condition="false"),
        )
    )
    run.actions["bad"] = boom()
    said = story(run.drive())

    assert "cancelled Slow (another branch was faster)" in said
    assert "Slow waits for its event no more" in said
    assert "did not reach After (bad failed)" in said
    assert "skipped Never (its condition was false)" in said


def test_a_machine_tells_its_states_what_it_hears_and_its_times():
    run = PureRun(
        machine(
            state(
                "review",
                Transition(on=On.AFTER, seconds=3600.0, to="late"),
                events=(StateEvent(type="call.off", to="done"),),
            ),
            state(
                "late",
                Transition(on=On.EVENT, name="x", to="done"),
                stuck=Stuck(seconds=60, to="done"),
            ),
            final("done"),
        )
    )
    run.skips_time = True
    said = story(run.drive())

    assert "entered Review" in said
    assert "While it is in Review, the run listens for “call.off”" in said
    assert "The run was in Review for 1 h, until 2026-01-01 13:00:00 UTC" in said
    assert "The run listens no more to what it heard in Review" in said
    assert "The run was in Late for too long: 1 min, at 2026-01-01 13:01:00 UTC" in said
    assert "Late lasted for too long" in said
    assert run.now == START + timedelta(hours=1, minutes=1)

"""What each kind of event is called in a list; sentences are in `sentences`. Read `KIND_WORDS`."""

from collections.abc import Mapping
from typing import Final

from engine.domain.events import EventKind

# What the filter of the events calls them.
KIND_WORDS: Final[Mapping[EventKind, str]] = {
    EventKind.RUN_STARTED: "Run started",
    EventKind.RUN_ADMITTED: "Turn in its group",
    EventKind.RUN_OWNED: "Taken by a worker",
    EventKind.RUN_MIGRATED: "Moved to another version",
    EventKind.STEP_STARTED: "Steps began",
    EventKind.STEP_COMPLETED: "Step succeeded",
    EventKind.ATTEMPT_FAILED: "Attempt failed",
    EventKind.ATTEMPT_LOST: "Attempt lost",
    EventKind.ATTEMPT_UNCERTAIN: "Attempt uncertain",
    EventKind.ATTEMPT_LATE: "Attempt ended late",
    EventKind.ATTEMPT_CLAIMED: "Task taken",
    EventKind.STEP_ADMITTED: "Let through by a gate",
    EventKind.STEP_HELD: "Held back by a gate",
    EventKind.STEP_REUSED: "Result taken over",
    EventKind.TIMER_FIRED: "Time was up",
    EventKind.EVENT_AWAITED: "Event waited for",
    EventKind.EVENT_RECEIVED: "Event received",
    EventKind.EVENT_EMITTED: "Event sent",
    EventKind.CHILD_STARTED: "Run called",
    EventKind.STEP_REFUSED: "Step refused",
    EventKind.CHILD_CLOSED: "Called run ended",
    EventKind.QUESTION_ASKED: "Question asked",
    EventKind.QUESTION_RESOLVED: "Question answered",
    EventKind.WAIT_WITHDRAWN: "Wait taken back",
    EventKind.APPROVAL_REQUESTED: "Approval asked for",
    EventKind.APPROVAL_RESOLVED: "Approval ended",
    EventKind.RUN_CANCEL_REQUESTED: "Cancel asked for",
    EventKind.RUN_PAUSED: "Run paused",
    EventKind.RUN_RESUMED: "Run resumed",
    EventKind.STEP_RETRY_REQUESTED: "Retry asked for",
    EventKind.STEP_SKIP_REQUESTED: "Skip asked for",
    EventKind.EVENT_ADDRESSED: "Event sent to the run",
    EventKind.RUN_CLOSED: "Run ended",
    EventKind.RUN_HALTED: "Run halted",
}

"""What the engine's kinds of entries mean to a report of the ledger. Read `MEANINGS`."""

from typing import Final

from audit.domain.meanings import Meaning
from engine.domain.events import EventKind

MEANINGS: Final[dict[str, Meaning]] = {
    EventKind.RUN_STARTED.value: Meaning.RUN_BEGUN,
    EventKind.RUN_CLOSED.value: Meaning.RUN_ENDED,
    EventKind.APPROVAL_RESOLVED.value: Meaning.RUN_ANSWERED,
    "version.saved": Meaning.SAVED,
    "version.published": Meaning.PUBLISHED,
    **{
        kind.value: Meaning.OPERATOR
        for kind in (
            EventKind.RUN_MIGRATED,
            EventKind.RUN_CANCEL_REQUESTED,
            EventKind.RUN_PAUSED,
            EventKind.RUN_RESUMED,
            EventKind.STEP_RETRY_REQUESTED,
            EventKind.STEP_SKIP_REQUESTED,
            EventKind.EVENT_ADDRESSED,
        )
    },
    **dict.fromkeys(
        (
            "workflow.paused",
            "workflow.resumed",
            "project.paused",
            "project.resumed",
            "project.quota_changed",
            "trigger.paused",
            "trigger.resumed",
        ),
        Meaning.OPERATOR,
    ),
}

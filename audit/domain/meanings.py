"""What kinds of entries mean to a report. Read `Meaning` first.

The ledger knows no runs and no requests; the packages above say which of their kinds mean what
(`audit.registry.register_meanings`), and a report folds meanings.
"""

from enum import StrEnum


class Meaning(StrEnum):
    """What an entry tells a report, and what its `data` must hold for that."""

    RUN_BEGUN = "run-begun"  # subject run:<id>; run: number, project, workflow, rev; parent; rerun
    RUN_ENDED = "run-ended"  # outcome
    RUN_ANSWERED = "run-answered"  # request (id): what a request came to, in the run's own stream
    REQUEST_OPENED = "request-opened"  # subject request:<id>; number, run (id), four_eyes
    STAGE_OPENED = "stage-opened"  # stage
    VOTE = "vote"  # stage, decision, person (id)
    REQUEST_CLOSED = "request-closed"  # outcome, closure
    LATE = "late"  # decision: somebody tried to decide after the time was up
    REFUSED = "refused"  # permission or decision; `reason` of the entry says why
    OPERATOR = "operator"  # a person moved a run beside what its definition says
    SAVED = "saved"  # subject version:<id>; rev
    PUBLISHED = "published"  # subject version:<id>; rev
    ACCESS = "access"  # who may do what was changed
    UPKEEP = "upkeep"  # the ledger itself: redactions, exports, keys, reports


# Those that tell which person asked or decided before the period a report is of.
REMEMBERED = frozenset(
    {
        Meaning.RUN_BEGUN,
        Meaning.REQUEST_OPENED,
        Meaning.STAGE_OPENED,
        Meaning.VOTE,
        Meaning.REQUEST_CLOSED,
        Meaning.SAVED,
    }
)

"""Every refusal of this package, with its stable code. Read `DecisionInvalidError` first."""

from core.kernel.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    MissingError,
    PreconditionError,
    StaleError,
)


class DecisionInvalidError(InvalidError):
    """The decision is incomplete or wrong; `problems` lists everything, the request stays open."""

    code = "approvals.decision_invalid"
    title = "The decision is not complete."


class EditRefusedError(InvalidError):
    """The form values differ from those earlier approvers signed, which would be an edit."""

    code = "approvals.edit_not_available"
    title = "Changing what earlier approvers signed is not available in this version."


class KeyReusedError(InvalidError):
    """The Idempotency-Key was used by the same person with another body."""

    code = "approvals.key_reused"
    title = "This Idempotency-Key was used for another decision."


class RequestMissingError(MissingError):
    """There is no such request, or the reader may not see it."""

    code = "approvals.request_missing"
    title = "There is no such approval request."


class MayNotDecideError(ForbiddenError):
    """The principal may not decide this request; `details["reason"]` says why."""

    code = "approvals.may_not_decide"
    title = "You may not decide this request."


class AlreadyDecidedError(ConflictError):
    """The same person decided differently before, and a decision stands."""

    code = "approvals.already_decided"
    title = "You have already decided, and differently."


class RequestClosedError(ConflictError):
    """The request was closed by a decision or because its run ended."""

    code = "approvals.request_closed"
    title = "The request is closed."


class StageClosedError(ConflictError):
    """The decision names a stage that is not the open one."""

    code = "approvals.stage_not_open"
    title = "That stage is not open."


class RequestExpiredError(GoneError):
    """The time to decide has passed."""

    code = "approvals.request_expired"
    title = "The time to decide has passed."


class SubjectChangedError(StaleError):
    """The digest sent is not that of what stands now; `details["changed"]` says what differs."""

    code = "approvals.subject_changed"
    title = "The request is not what you saw any more."


class DigestRequiredError(PreconditionError):
    """The decision does not say what was seen."""

    code = "approvals.digest_required"
    title = "Say what you saw: send the digest the request showed."


class VoteMissingError(MissingError):
    """The request has no such vote."""

    code = "approvals.vote_missing"
    title = "There is no such decision."

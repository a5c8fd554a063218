"""What can go wrong with a run or a definition, as stable codes."""

from core.kernel.errors import (
    ConflictError,
    GoneError,
    InvalidError,
    MissingError,
    ThrottledError,
    TooLargeError,
    UnauthenticatedError,
)


class UnexpectedEventError(ConflictError):
    """An event cannot happen in the state it meets."""

    code = "engine.unexpected_event"
    title = "The event does not fit the state of the run."

    def __init__(self, *, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}.", kind=kind, reason=reason)


class NondeterministicError(ConflictError):
    """Replaying a run's events leads elsewhere than they record."""

    code = "engine.nondeterministic"
    title = "Replaying the run leads elsewhere than its record."

    def __init__(self, *, seq: int, expected: str, found: str) -> None:
        super().__init__(
            f"Entry {seq} records {expected}, but replaying it gives {found}.",
            seq=seq,
            expected=expected,
            found=found,
        )


class DriverFailedError(ConflictError):
    """A bug has stopped every driver that took the run, so it was halted."""

    code = "engine.driver_failed"
    title = "A bug stops every driver of the run."

    def __init__(self, *, fault_count: int, last: str) -> None:
        super().__init__(
            f"A bug stopped {fault_count} drivers in a row; the last one: {last}",
            fault_count=fault_count,
        )


class RunTooLongError(TooLargeError):
    """The run's stream holds as many entries as can be read back, so the run was halted."""

    code = "engine.run_too_long"
    title = "The run has too many entries to go on."


class RunClosedError(ConflictError):
    """The run is over."""

    code = "engine.run_closed"
    title = "The run is closed; nothing can be added to it."


class RunHaltedError(ConflictError):
    """The run has halted: it can only be resumed or cancelled."""

    code = "engine.run_halted"
    title = "The run has halted; resume it or cancel it."


class RunCancellingError(ConflictError):
    """The run is being cancelled, and nothing turns that back."""

    code = "engine.run_cancelling"
    title = "The run is being cancelled."


class RunNotResumableError(ConflictError):
    """The run halted, and would halt again: its record still leads elsewhere."""

    code = "engine.run_not_resumable"
    title = "The run cannot go on yet."


class RunStepMissingError(MissingError):
    """The run has no such step, or has not come to it."""

    code = "engine.run_step_missing"
    title = "The run has no such step."


class StepNotRetriableError(ConflictError):
    """The step cannot be tried again as it stands."""

    code = "engine.step_not_retriable"
    title = "The step cannot be tried again now."


class StepNotSkippableError(ConflictError):
    """The step cannot be skipped as it stands, or nobody may skip it."""

    code = "engine.step_not_skippable"
    title = "The step cannot be skipped."


class MomentMissingError(MissingError):
    """The run has no entry of that number, or none by that instant."""

    code = "engine.moment_missing"
    title = "The run has no such past."

    def __init__(self, *, run: str) -> None:
        super().__init__(f"Run {run} has no entry of that number, or none by then.", run=run)


class RunMissingError(MissingError):
    """There is no such run, or the caller may not see it."""

    code = "engine.run_missing"
    title = "There is no such run."


class RunOpenError(ConflictError):
    """The run goes on, and only one that is over can be run again."""

    code = "engine.run_open"
    title = "The run is still open; only one that has closed or halted can be run again."


class RunRedactedError(ConflictError):
    """Payloads of the run's record have been erased, so nothing can be made of it any more."""

    code = "engine.run_redacted"
    title = "Payloads of the run were redacted, so it cannot be replayed, run again or forked."


class NotRepeatableError(ConflictError):
    """The run's record does not replay, so nobody can say what could be taken over."""

    code = "engine.not_repeatable"
    title = "The record of the run does not replay; it can only be run again from its beginning."


class RerunTooLargeError(TooLargeError):
    """What would be taken over is more than one entry holds."""

    code = "engine.rerun_too_large"
    title = "What would be taken over is too large."


class ReasonMissingError(InvalidError):
    """An act on record needs a reason."""

    code = "engine.reason_missing"
    title = "Say why, for whoever reads the record."


class StepMissingError(InvalidError):
    """The run has no such step, or has never been in that state."""

    code = "engine.step_missing"
    title = "The run has no such step."

    def __init__(self, *, step: str) -> None:
        super().__init__(f"There is no step {step[:200]!r} in this run.", step=step[:200])


class WorkflowMissingError(MissingError):
    """There is no such workflow, or the caller may not see it."""

    code = "engine.workflow_missing"
    title = "There is no such workflow."


class VersionMissingError(MissingError):
    """There is no such version of the workflow."""

    code = "engine.version_missing"
    title = "The workflow has no such version."


class NothingPublishedError(ConflictError):
    """The workflow has no published version to run."""

    code = "engine.nothing_published"
    title = "The workflow has no published version; publish one first."


class TriggerRefusedError(ConflictError):
    """The definition's `triggers` do not name the way this start came in."""

    code = "engine.trigger_refused"
    title = "This workflow is not started this way."


class NotPublishableError(ConflictError):
    """The version is not a draft."""

    code = "engine.not_publishable"
    title = "Only a draft can be published."


class DefinitionInvalidError(InvalidError):
    """The definition has errors; `problems` lists them with line and column."""

    code = "engine.definition_invalid"
    title = "The definition is not valid."


class InputsInvalidError(InvalidError):
    """The inputs do not match the version's schema; `problems` lists every error."""

    code = "engine.inputs_invalid"
    title = "The inputs do not match the workflow's schema."


class KeyReusedError(InvalidError):
    """An idempotency key came back with another request."""

    code = "engine.key_reused"
    title = "This idempotency key was used for a different request."


class InputsTooLargeError(TooLargeError):
    """The inputs are over their bound."""

    code = "engine.inputs_too_large"
    title = "The inputs are too large."


class KeyTooLongError(InvalidError):
    """The idempotency key is over its bound."""

    code = "engine.key_too_long"
    title = "The idempotency key is too long."


class ReasonTooLongError(InvalidError):
    """The reason is over its bound."""

    code = "engine.reason_too_long"
    title = "The reason is too long."


class ProjectMissingError(MissingError):
    """There is no such project, or the caller may not see it."""

    code = "engine.project_missing"
    title = "There is no such project."


class EventInvalidError(InvalidError):
    """The event cannot be kept: its type or its data break a bound."""

    code = "engine.event_invalid"
    title = "The event is not valid."


class EventReusedError(InvalidError):
    """The id of an event came back with another event."""

    code = "engine.event_reused"
    title = "This event id was used for a different event."


class TriggerLoopError(ConflictError):
    """Runs start each other by events, and this would be one more than there may be."""

    code = "engine.trigger_loop"
    title = "Runs start each other without end."


class CallUnresolvedError(ConflictError):
    """A workflow that the definition calls has no published version in the range it asks for."""

    code = "engine.call_unresolved"
    title = "A called workflow has no published version that fits."


class TriggerMissingError(MissingError):
    """The newest published version has no such trigger, or the caller may not see it."""

    code = "engine.trigger_missing"
    title = "The workflow has no such trigger."


class TriggerKindError(ConflictError):
    """What is asked for makes no sense for a trigger of this kind."""

    code = "engine.trigger_kind"
    title = "A trigger of this kind has no such thing."


class BackfillMissingError(MissingError):
    """The trigger has no such backfill."""

    code = "engine.backfill_missing"
    title = "The trigger has no such backfill."


class BackfillInvalidError(InvalidError):
    """The period cannot be made up for; `count` says how many instants are too many."""

    code = "engine.backfill_invalid"
    title = "This period cannot be made up for."


class BackfillOpenError(ConflictError):
    """Another backfill of the trigger goes on."""

    code = "engine.backfill_open"
    title = "Another backfill of this trigger goes on."


class HookRefusedError(UnauthenticatedError):
    """The request is not signed as this address wants it, or there is no such address."""

    code = "engine.hook_refused"
    title = "The signature does not hold."


class HookInvalidError(InvalidError):
    """The delivery is signed, but cannot be read."""

    code = "engine.hook_invalid"
    title = "The delivery cannot be read."


class HookTooLargeError(TooLargeError):
    """The delivery is over its bound."""

    code = "engine.hook_too_large"
    title = "The delivery is too large."


class HookSecretError(InvalidError):
    """The secret is none that this webhook's provider takes."""

    code = "engine.hook_secret"
    title = "The secret cannot be used."


class TaskMissingError(MissingError):
    """There is no such external task with a claim, or the caller may not know of it."""

    code = "engine.task_missing"
    title = "There is no such task."


class TaskCancelledError(ConflictError):
    """The run needs no result of the task any more: stop, and tell how it ended."""

    code = "engine.task_cancelled"
    title = "Nobody needs the task any more."


class TaskEndedError(ConflictError):
    """The task's end was told before, and it was another one."""

    code = "engine.task_ended"
    title = "The task has ended already."


class TaskGoneError(GoneError):
    """The claim's lease, or the time of the attempt, is over; nothing follows from its end."""

    code = "engine.task_gone"
    title = "The time for this task has passed."


class TaskResultInvalidError(InvalidError):
    """The result of a task cannot be recorded: it is too large, or not JSON as it is recorded."""

    code = "engine.task_result_invalid"
    title = "The result of the task cannot be kept."


class SecretInvalidError(InvalidError):
    """A secret's name, value or description breaks a bound; `problems` says which."""

    code = "engine.secret_invalid"
    title = "The secret is not valid."


class SecretMissingError(MissingError):
    """The project has no secret of that name."""

    code = "engine.secret_missing"
    title = "There is no such secret."


class SecretCountError(ConflictError):
    """The project has as many secrets as it may."""

    code = "engine.too_many_secrets"
    title = "The project has no room for another secret."


class PausedError(ConflictError):
    """An operator has paused the workflow or its project: no run begins."""

    code = "engine.paused"
    title = "The workflow is paused; no run of it begins."


class BackloggedError(ThrottledError):
    """So many runs wait for a worker that another would only wait with them."""

    code = "engine.backlogged"
    title = "Too many runs wait for a worker already; come back later."


class QuotaExceededError(ThrottledError):
    """The project has as many runs, or has started as many, as it may."""

    code = "engine.quota_exceeded"
    title = "The project's quota is used up."

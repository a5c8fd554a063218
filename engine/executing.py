"""Executing one attempt of one step, outside any transaction. Read `execute` first."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.masking import NO_MASK, Mask
from core.kernel.types import Json
from countersign.functions import Attempt
from engine.actions.contract import ActionCall, ActionError, ActionSpec, one_line
from engine.attempts import Beat
from engine.domain.events import Event, EventKind
from engine.secrets.opening import Locked, open_arguments

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCall:
    """One attempt, ready to execute. `deadline` is in the seconds of the driver's clock.

    An attempt with `heartbeat_seconds` counts as hung when it says nothing for longer. With
    `locked`, the arguments have places for secrets, which are put in when it is executed.
    """

    run_id: UUID
    key: str
    step: str
    attempt: int
    spec: ActionSpec | None
    action: str
    arguments: dict[str, Json]
    timeout: timedelta
    deadline: float
    heartbeat_seconds: float | None = None
    round: int = 1
    locked: Locked | None = None

    @property
    def idempotency_key(self) -> str:
        """Return what the attempts of this step have in common, until somebody says to try again.

        A new round is a new wish: the systems that keep the key must not answer with the old end.
        """
        return f"{self.run_id}:{self.key}:{self.round}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt ended: a result, or an error kind with a message.

    `round` is that of its call; of what another worker has executed nobody asks for it. `worker`
    and `account` say which program outside it was, and as whom it spoke.
    """

    key: str
    attempt: int
    result: Json = None
    error: str = ""
    message: str = ""
    round: int = 1
    worker: str = ""
    account: str = ""
    detail: Json = None  # what a failed attempt did until then

    def as_event(self, *, at: datetime) -> Event:
        """Return the event that tells of it."""
        data: dict[str, str | int] = {"key": self.key, "attempt": self.attempt}
        if self.account:
            data |= {"worker": self.worker, "account": self.account}
        if self.error:
            data["error"] = self.error
            payloads: dict[str, Json] = {"message": self.message[: limits.ERROR_CHARS_MAX]}
            if self.detail is not None:
                payloads["detail"] = self.detail
            return Event(kind=EventKind.ATTEMPT_FAILED, at=at, data=data, payloads=payloads)
        return Event(
            kind=EventKind.STEP_COMPLETED, at=at, data=data, payloads={"result": self.result}
        )


def execute(call: StepCall, *, now: float, beat: Beat | None = None) -> Ended:
    """Execute an attempt and return how it ended. Never raises for what an action does.

    `now` is in the seconds of the driver's clock; the attempt reports to `beat`, if there is one.
    Secrets that the attempt was given are masked in everything that is returned and reported.
    """
    if call.spec is None:
        return _failed(call, "permanent", f"no action {call.action} is installed here")
    if call.locked is None:
        return _execute(call, call.spec, call.arguments, now=now, beat=beat, mask=NO_MASK)
    try:
        opened = open_arguments(locked=call.locked, arguments=call.arguments)
    except ActionError as error:
        return _failed(call, error.kind, error.message)
    return _execute(call, call.spec, opened.arguments, now=now, beat=beat, mask=opened.mask)


def _execute(
    call: StepCall,
    spec: ActionSpec,
    arguments: dict[str, Json],
    *,
    now: float,
    beat: Beat | None,
    mask: Mask,
) -> Ended:
    attempt = Attempt(
        run_id=str(call.run_id),
        step=call.step,
        number=call.attempt,
        idempotency_key=call.idempotency_key,
        timeout_seconds=_own_seconds(call.deadline - now),
    )
    if beat is not None:
        beat.mask = mask
        attempt = replace(attempt, on_heartbeat=beat.beat, asks_cancelled=beat.ask_cancelled)
    try:
        result = spec.execute(ActionCall(arguments=arguments, attempt=attempt, mask=mask))
        size = len(canonical_bytes(result))
        result = mask.json(result)
    except ActionError as error:
        failed = _failed(call, error.kind, error.message, mask=mask)
        return replace(failed, detail=mask.json(error.detail))
    except UncanonicalError as error:
        return _failed(call, "permanent", f"the result is not JSON: {error.message}", mask=mask)
    except (Exception, SystemExit) as error:  # the process edge: an action may do anything
        log.exception("engine.action_crashed", run=str(call.run_id), step=call.key)
        return _failed(call, "permanent", f"{type(error).__name__}: {error}", mask=mask)
    if size > limits.PAYLOAD_BYTES_MAX:
        message = f"the result has {size} bytes; at most {limits.PAYLOAD_BYTES_MAX} are recorded"
        return _failed(call, "too-large", message)
    return Ended(key=call.key, attempt=call.attempt, round=call.round, result=result)


def _own_seconds(left: float) -> float:
    """Return the time an attempt is told it has, of the seconds until it counts as hung.

    Less than those, or an action that ends itself in time would race with the watchdog, which ends
    the whole process.
    """
    margin = min(limits.ATTEMPT_MARGIN_SECONDS, left * limits.ATTEMPT_MARGIN_SHARE)
    return max(0.0, left - margin)


def _failed(call: StepCall, kind: str, message: str, *, mask: Mask = NO_MASK) -> Ended:
    # Masked before it is cleaned and cut, and after: an action may have done that already. Cleaned,
    # because a message with a lone surrogate could not be recorded.
    said = mask.text(one_line(mask.text(message)))
    error = mask.text(kind)
    return Ended(key=call.key, attempt=call.attempt, round=call.round, error=error, message=said)

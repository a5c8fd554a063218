"""Answering the open question about a step by an operator's verb. Read `answer_question`."""

from approvals.domain import errors
from approvals.domain.rule import Asks
from approvals.models import Request, RequestStatus
from approvals.services.decide import decide
from engine.ports import Answer


def answer_question(*, answer: Answer) -> None:
    """Decide the open question about a step as the person who says so, with their reason.

    All rules of questions hold: who may answer, and that software may not. Idempotent for one
    person. Transaction: one of its own.

    Raises:
        RequestMissingError: no question is open about the step (any more).
        MayNotDecideError, AccessForbiddenError: the caller may not answer it.
        AlreadyDecidedError, RequestClosedError: somebody else has answered meanwhile.
    """
    found = (
        Request.objects.filter(
            run_id=answer.run_id,
            step_key=answer.key,
            kind=Asks.QUESTION,
            status=RequestStatus.OPEN,
        )
        .values_list("pk", "shown_digest")
        .first()
    )
    if found is None:
        raise errors.RequestMissingError(run=str(answer.run_id), step=answer.key)
    decide(
        principal=answer.principal,
        request_id=found[0],
        decision=answer.choice,
        digest_hex=bytes(found[1]).hex(),
        comment=answer.reason,
    )

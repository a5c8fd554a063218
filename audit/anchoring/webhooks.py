"""Posting tree heads to an address that keeps them. Read `post_note`."""

from audit.anchoring.rows import NewestHead
from audit.outward.posting import Failure, judge_answer, place_of, post
from audit.outward.targets import WebhookAnchor
from core.kernel import limits


def post_note(anchor: WebhookAnchor, head: NewestHead) -> str | Failure:
    """Post a tree head, signed; return the answer's status, or why it was not taken.

    What is posted is the checkpoint as it was signed, whose own signature is the evidence; the
    request's only shows who sent it.
    """
    answer = post(
        anchor.endpoint,
        body=head.note.encode(),
        media_type="text/plain; charset=utf-8",
        headers=(("Idempotency-Key", str(head.size)),),
        message_id=f"{anchor.name}.{head.size}",
        timeout_seconds=limits.ANCHOR_TIMEOUT_SECONDS,
    )
    if isinstance(answer, Failure):
        return answer
    failure = judge_answer(answer, label=place_of(anchor.endpoint))
    return failure if failure is not None else str(answer.status)

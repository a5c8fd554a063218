"""Posting batches of entries. Read `send_batch`."""

from collections.abc import Sequence

from audit.outward.posting import Failure, judge_answer, place_of, post
from audit.outward.targets import Format, HttpsSink
from core.kernel import limits

_LINES = "application/x-ndjson"
_BATCH = "application/cloudevents-batch+json"  # Source: CloudEvents HTTP binding 1.0 §3.3


def send_batch(sink: HttpsSink, events: Sequence[str], *, first: int, last: int) -> Failure | None:
    """Post events, one JSON text each; return why they were not taken, `None` if they were.

    `Idempotency-Key` is the first and the last leaf index the batch covers, the same at each
    attempt; a receiver that keeps the last keys takes nothing twice.
    """
    if sink.format is Format.CLOUDEVENTS:
        body, media_type = f"[{','.join(events)}]", _BATCH
    else:
        body, media_type = "".join(f"{event}\n" for event in events), _LINES
    answer = post(
        sink.endpoint,
        body=body.encode(),
        media_type=media_type,
        headers=(("Idempotency-Key", f"{first}-{last}"),),
        message_id=f"{sink.name}.{first}-{last}",
        timeout_seconds=limits.FORWARD_TIMEOUT_SECONDS,
    )
    if isinstance(answer, Failure):
        return answer
    return judge_answer(answer, label=place_of(sink.endpoint))

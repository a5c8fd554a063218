"""Streams with a guard row that a test can move itself."""

from audit import store
from audit.domain.entry import EMPTY_HEAD, StreamHead, extend
from audit.models import Stream
from core.kernel import ids
from tests.fakes.drafts import SCOPE, draft

GUARD = """UPDATE audit_stream SET seq = %s::bigint, head = %s::bytea
WHERE id = %s::uuid AND seq = %s::bigint RETURNING id"""


def open_stream():
    """Return the head of a new, empty stream."""
    stream = ids.uuid7()
    Stream.objects.create(id=stream, name=f"project:{stream}", seq=0, head=EMPTY_HEAD)
    return StreamHead(stream=stream)


def append(head, *drafts, seq=None):
    """Append if the stream still ends at `head` (or at `seq`); return new head and count."""
    after, entries = extend(head=head, drafts=drafts or [draft()], salts=ids.salt)
    guard_params = (after.seq, after.head, head.stream, head.seq if seq is None else seq)
    count = store.append_guarded(guard=GUARD, guard_params=guard_params, entries=entries)
    return after, count


def fill(*, entry_count=3):
    """Return the head of a new stream with entries of every shape."""
    head = open_stream()
    for number in range(entry_count):
        payloads = {"comment": "ok", "form": {"n": number}} if number % 2 else {}
        head, _ = append(head, draft(data={"n": number}, payloads=payloads, scope=SCOPE))
    return head

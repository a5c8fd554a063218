"""What a process must know of anchors and sinks when it starts. Read `register`."""

from typing import Final

from audit import keeping, registry
from audit.anchoring.anchoring import list_anchor_jobs
from audit.anchoring.knowing import list_known
from audit.domain.rights import APPEND, DatabaseRole
from audit.forwarding.forwarder import list_forward_jobs
from audit.sealing.guarding import register_witness_of_size

_MOVING: Final = (
    "aim, attempt_count, error_at, generation, last_error, mark, moved_at, next_at, position, "
    "state, told_root, told_size"
)


def register() -> None:
    """Register the tables and the keeper's jobs."""
    keeper = DatabaseRole.REDACTOR
    registry.register_append_only("audit_anchor_receipt", rights={keeper: APPEND})
    registry.register_append_only(
        "audit_outward_cursor",
        conditional=("audit_outward_cursor_no_update",),
        rights={keeper: APPEND | {f"UPDATE ({_MOVING})"}},
    )
    keeping.register_source("sinks", list_forward_jobs)
    keeping.register_source("anchors", list_anchor_jobs)
    register_witness_of_size(list_known)

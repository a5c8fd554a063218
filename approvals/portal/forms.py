"""What the decision bar sends. Read `read_decision` first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core import signing
from django.http import QueryDict

from approvals.portal.context import take_snapshot
from approvals.selectors.views import RequestDetail
from core.kernel import ids, limits
from core.toolkit.portal.schema_form import SchemaForm, build_form

_SALT: Final = "approvals.seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The decision bar: hidden values, the step's form and what was typed.

    `seen` is what the page shows, signed, so that a later answer can say what has changed.
    """

    form: SchemaForm | None
    comment: str
    confirmed: bool
    digest: str
    stage: str
    key: str
    seen: str
    version: str
    comment_error: str = ""
    confirm_error: str = ""
    error_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A decision as the browser sent it."""

    decision: str
    comment: str
    confirmed: bool
    digest: str
    stage: str
    key: str
    seen: Mapping[str, str]
    data: QueryDict


def make_bar(detail: RequestDetail, *, data: QueryDict | None = None) -> Bar:
    """Return a bar for what stands now, with what was typed into an earlier one kept."""
    form = None
    if detail.form_schema is not None:
        form = build_form(detail.form_schema, data=data, initial=detail.form_values)
    snapshot = signing.dumps(take_snapshot(detail), salt=_SALT, compress=True)
    return Bar(
        form=form,
        comment=data.get("comment", "") if data else "",
        # A tick is for what stood above it, never for what stands there now.
        confirmed=bool(data and data.get("confirmed") and data.get("digest") == detail.digest_hex),
        digest=detail.digest_hex,
        stage=detail.summary.stage or "",
        key=ids.uuid7().hex,
        seen=snapshot if len(snapshot) <= limits.CARRIED_CHARS_MAX else "",
        version=f"{detail.digest_hex}:{detail.summary.stage}:{detail.summary.round}",
    )


def read_typed(data: QueryDict) -> Typed:
    """Return what was sent; nonsense becomes empty and is judged by the service."""
    return Typed(
        decision=data.get("decision", ""),
        comment=data.get("comment", ""),
        confirmed=bool(data.get("confirmed")),
        digest=data.get("digest", ""),
        stage=data.get("stage", ""),
        key=data.get("key", ""),
        seen=_read_seen(data.get("seen", "")),
        data=data,
    )


def _read_seen(packed: str) -> Mapping[str, str]:
    try:
        found: Any = signing.loads(packed, salt=_SALT)
    except signing.BadSignature:
        return {}
    return found if isinstance(found, dict) else {}

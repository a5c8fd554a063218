"""What an approver signs: the digest of what was shown. Read `shown_digest` first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from approvals.domain.rule import Rule, rule_to_json
from core.kernel.canonical import digest
from core.kernel.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Everything a decision is about.

    `calls` maps sub-workflows to the digests (hex) resolved when the root run started, and
    `attachments` are digests (hex); both are empty in this version. `form` holds the values so far,
    or `None` before anybody gave some. `version_digest` is 32 bytes, empty without a workflow.
    """

    request_id: UUID
    round_number: int
    subject: Mapping[str, Json]
    version_digest: bytes
    rule: Rule
    form: Mapping[str, Json] | None = None
    attachments: Sequence[str] = field(default_factory=tuple)
    calls: Mapping[str, str] = field(default_factory=dict)


def shown_digest(shown: Shown) -> bytes:
    """Return SHA-256 over the canonical JSON of what was shown, 32 bytes.

    It covers meaning, not presentation: a title or a hint may be reworded without voiding it.

    Raises:
        UncanonicalError: when the subject or the form has no canonical form.
    """
    return digest(
        {
            "request": str(shown.request_id),
            "round": shown.round_number,
            "subject": dict(shown.subject),
            "attachments": list(shown.attachments),
            "version": shown.version_digest.hex(),
            "calls": dict(shown.calls),
            "rule": rule_to_json(shown.rule),
            "form": None if shown.form is None else dict(shown.form),
        }
    )


def changed_since(*, sent: bytes, shown: Shown, earlier: Mapping[int, bytes]) -> tuple[str, ...]:
    """Return which parts differ between a digest that was sent and what stands now.

    Args:
        sent: the digest the decision came with.
        shown: what stands now.
        earlier: the digest each earlier round opened with, by round number.

    Returns:
        `("form",)` when the sender saw the request before the first approval gave form values,
        `("round", "subject", "form")` when the sender saw an earlier round, and `("unknown",)`
        when this request never had that digest.
    """
    if shown.form is not None and sent == shown_digest(replace(shown, form=None)):
        return ("form",)
    if sent in earlier.values():
        return ("round", "subject", "form")
    return ("unknown",)

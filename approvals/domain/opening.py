"""What a request opens with: the block's expressions evaluated. Read `prepare_block` first.

An error inside a `when` keeps the stage and is noted; an error anywhere else raises and fails the
step, before anybody is asked. The result is JSON, because the engine records it.
"""

import re
from collections.abc import Mapping
from typing import Any

from approvals.domain.block import RISKS
from approvals.domain.form import has_nul, has_wide_float
from approvals.domain.rule import (
    AfterExpiry,
    Approvers,
    Exclusions,
    Keyword,
    Quorum,
    Rule,
    StageRule,
)
from core.kernel import limits
from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.types import Json
from engine.domain.expressions import RUN_NAMES, Evaluator, ExpressionError, Variables

_BARE_STEPS = re.compile(r"\bsteps\b(?!\s*[.\[])")  # all steps at once
_AMOUNT_MAX = 2**53 - 1  # what every JSON reader keeps exactly


def prepare_block(
    body: Mapping[str, Any], *, variables: Variables, evaluator: Evaluator
) -> dict[str, Json]:
    """Return a normalized block with its expressions evaluated.

    Raises:
        ExpressionError: when anything but a `when` does not evaluate to what it should be.
    """
    subject = _subject(body["subject"], variables, evaluator)
    names: dict[str, Json] = {**variables, "subject": subject}
    notes: list[Json] = []
    stages = [
        _stage(stage, index=index, names=names, evaluator=evaluator, notes=notes)
        for index, stage in enumerate(body["stages"])
    ]
    expressions = body["exclude"]["expressions"]
    return {
        "title": _line(body["title"], names, evaluator, limits.TITLE_CHARS_MAX),
        "kind": body["kind"],
        "risk": _risk(body["risk"], names, evaluator),
        "amount": _amount(body["amount"], names, evaluator),
        "subject": subject,
        "if_approved": _line(body["if_approved"], names, evaluator),
        "if_rejected": _line(body["if_rejected"], names, evaluator),
        "confirm": "" if body["confirm"] is None else _line(body["confirm"], names, evaluator),
        "stages": stages,
        "exclude": body["exclude"],
        "form": body["form"],
        "expires": body["expires"],
        "variables": _kept(expressions, variables, evaluator),
        "notes": notes,
    }


def rule_of(prepared: Mapping[str, Any]) -> Rule:
    """Return the frozen rule of a prepared block."""
    exclude, expires = prepared["exclude"], prepared["expires"]
    return Rule(
        stages=tuple(
            StageRule(
                key=stage["id"],
                approvers=Approvers(
                    users=tuple(stage["approvers"]["users"]),
                    groups=tuple(stage["approvers"]["groups"]),
                    permissions=tuple(stage["approvers"]["permissions"]),
                ),
                quorum=Quorum(count=stage["quorum"]["count"], reject=stage["quorum"]["reject"]),
                asked=stage["asked"],
            )
            for stage in prepared["stages"]
        ),
        exclusions=Exclusions(
            keywords=tuple(Keyword(keyword) for keyword in exclude["keywords"]),
            expressions=tuple(exclude["expressions"]),
        ),
        after_expiry=AfterExpiry(expires["then"]) if expires else None,
    )


def _subject(
    expressions: Mapping[str, str], variables: Variables, evaluator: Evaluator
) -> dict[str, Json]:
    subject: dict[str, Json] = {}
    for name, expression in expressions.items():
        subject[name] = evaluator.evaluate(expression, variables)
    _check_storable(subject, what="subject", bytes_max=limits.SUBJECT_BYTES_MAX)
    return subject


def _check_storable(value: Json, *, what: str, bytes_max: int) -> None:
    try:
        size = len(canonical_bytes(value))
    except UncanonicalError as error:
        raise ExpressionError(expression=what, reason=error.message) from error
    if size > bytes_max:
        raise ExpressionError(expression=what, reason=f"this is over {bytes_max} bytes")
    if has_nul(value):
        raise ExpressionError(expression=what, reason="a text holds the character NUL")
    if has_wide_float(value):
        raise ExpressionError(expression=what, reason="a number is over 2^53-1")


def _stage(
    stage: Mapping[str, Any],
    *,
    index: int,
    names: Variables,
    evaluator: Evaluator,
    notes: list[Json],
) -> Json:
    asked = True
    if stage["when"] is not None:
        try:
            asked = evaluator.condition(stage["when"], names)
        except ExpressionError as error:
            # The stage stands: an error never removes a gate.
            path = f"/stages/{index}/when"
            reason = error.reason.replace("\x00", "")[: limits.ERROR_CHARS_MAX]
            notes.append({"path": path, "expression": stage["when"], "reason": reason})
    return {
        "id": stage["id"],
        "asked": asked,
        "approvers": stage["approvers"],
        "quorum": stage["quorum"],
    }


def _line(
    template: str,
    names: Variables,
    evaluator: Evaluator,
    chars_max: int = limits.REQUEST_LINE_CHARS_MAX,
) -> str:
    """Render one line; what is too long to show ends in an ellipsis."""
    value = evaluator.render(template, names)
    text = value if isinstance(value, str) else canonical_bytes(value).decode()
    line = " ".join(text.replace("\x00", " ").split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def _risk(risk: Mapping[str, str], names: Variables, evaluator: Evaluator) -> Json:
    if "level" in risk:
        return risk["level"]
    level = evaluator.evaluate(risk["expression"], names)
    if level not in RISKS:
        reason = f"a risk is one of {', '.join(RISKS)}, and this is {level!r}"
        raise ExpressionError(expression=risk["expression"], reason=reason)
    return level


def _amount(amount: Mapping[str, str] | None, names: Variables, evaluator: Evaluator) -> Json:
    if amount is None:
        return None
    value = evaluator.evaluate(amount["value"], names)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _AMOUNT_MAX:
        reason = f"an amount is a whole number of minor units (cents), and this is {value!r}"
        raise ExpressionError(expression=amount["value"], reason=reason)
    return {"value": value, "currency": amount["currency"]}


def _kept(expressions: list[str], variables: Variables, evaluator: Evaluator) -> dict[str, Json]:
    """Return what the exclusions will need to know of the run when somebody decides, later.

    Outputs of steps that no exclusion mentions are left out, because they may be large.
    """
    if not expressions:
        return {}
    kept: dict[str, Json] = {name: variables[name] for name in RUN_NAMES if name in variables}
    if kept.get("event") is None:  # as it was when no run had one
        kept.pop("event", None)
    steps = kept.get("steps")
    if isinstance(steps, dict) and not any(_BARE_STEPS.search(text) for text in expressions):
        read = frozenset[str]().union(*(evaluator.reads(text) for text in expressions))
        kept["steps"] = {key: item for key, item in steps.items() if key in read}
    _check_storable(kept, what="exclude", bytes_max=limits.PAYLOAD_BYTES_MAX)
    return kept

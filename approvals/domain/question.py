"""The question about a step that failed: what it shows, and what each answer does.

Read `prepare_question` first. A question is a request whose rule asks for one of three answers.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from approvals.domain.opening import rule_of
from approvals.domain.quorum import Choice
from approvals.domain.rule import Asks, Rule
from core.identity.domain.permissions import Permission
from core.kernel import limits
from core.kernel.types import Json

STAGE: Final = "answer"
UNCERTAIN: Final = "uncertain"  # the error of an attempt of which nobody knows whether it happened

_AGAIN: Final = "The step executes again from its beginning, under a new idempotency key."
_TWICE: Final = " What its last attempt may have done can then have been done twice."
_CONSEQUENCES: Final[Mapping[Choice, str]] = {
    Choice.RETRY: _AGAIN,
    Choice.SKIP: "The step counts as skipped. Steps that need it are skipped too, unless their own "
    "`if` says otherwise.",
    Choice.FAIL: "The step fails: what was done is compensated as the workflow says, and the run "
    "fails unless the workflow handles the failure.",
}


def prepare_question(*, key: str, step: str, body: Mapping[str, Any]) -> dict[str, Json]:
    """Return a question as a prepared block, the form requests open with.

    Args:
        key: the step's key in the run.
        step: its id in the definition.
        body: what the engine asks: `error` (`kind`, `message`), `attempt`, `choices`.
    """
    error = body["error"]
    is_uncertain = error["kind"] == UNCERTAIN
    words = "may or may not have happened" if is_uncertain else "failed"
    return {
        "title": f"Step {step} {words}: what now?"[: limits.TITLE_CHARS_MAX],
        "kind": Asks.QUESTION.value,
        "risk": "high" if is_uncertain else "medium",
        "amount": None,
        "subject": {
            "step": step,
            "instance": key,
            "error": _text(error["kind"]),
            "message": _text(error["message"]),
            "attempt": body["attempt"],
        },
        "if_approved": "",
        "if_rejected": "",
        "confirm": "",
        "stages": [
            {
                "id": STAGE,
                "asked": True,
                "approvers": {
                    "users": [],
                    "groups": [],
                    "permissions": [Permission.OPERATE_RUN.value],
                },
                "quorum": {"count": 1, "reject": 1},
            }
        ],
        # Whoever started the run asks for nothing here: the failure does.
        "exclude": {"keywords": [], "expressions": []},
        "form": None,
        "expires": None,
        "variables": {},
        "notes": [],
    }


def rule_of_question(prepared: Mapping[str, Any]) -> Rule:
    """Return the frozen rule of a prepared question."""
    return replace(rule_of(prepared), asks=Asks.QUESTION)


def consequence_of(choice: Choice, *, subject: Mapping[str, Json]) -> str:
    """Return what follows from an answer to a question, in words; `subject` is the question's."""
    said = _CONSEQUENCES[choice]
    return said + _TWICE if choice is Choice.RETRY and subject["error"] == UNCERTAIN else said


def _text(value: str) -> str:
    """Return a text as PostgreSQL can keep it, and people will read it."""
    return value.replace("\x00", "")[: limits.ERROR_CHARS_MAX]

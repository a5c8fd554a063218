"""Separation of duties: whom a rule keeps from deciding, by human. Read `excluded_persons` first.

The set only grows: who was excluded once in a round stays excluded in it. An expression that does
not evaluate excludes, because an error never opens a gate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from approvals.domain.rule import Exclusions, Keyword
from core.kernel import limits
from core.kernel.types import Json
from engine.domain.expressions import Evaluator, ExpressionError

# What an expression may know of a person's account, as `user`.
USER_FIELDS = ("id", "username", "name", "email", "groups")

_SENTENCES = {
    Keyword.INITIATOR: "You asked for this, and who asks may not decide.",
    Keyword.ON_BEHALF_OF: "This was asked for on your behalf, and you may not decide it.",
    Keyword.RERUNNER: "You re-ran this, and who re-runs may not decide.",
    Keyword.AGENT_OWNER: "The agent or token that asked is yours, and you may not decide.",
    Keyword.EDITORS: "You edited what is to be decided, and who edits may not decide.",
    Keyword.VERSION_AUTHORS: "You wrote this version of the workflow, and authors may not decide.",
    Keyword.EARLIER_DECIDERS: "You decided in an earlier stage, and this one needs somebody else.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which person stands in which relation to what is to be decided."""

    initiator: UUID | None = None
    on_behalf_of: UUID | None = None
    agent_owner: UUID | None = None
    rerunners: tuple[UUID, ...] = ()
    editors: tuple[UUID, ...] = ()
    version_authors: tuple[UUID, ...] = ()
    earlier_deciders: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """One person a rule excludes, and why.

    `reason` is a keyword or `expression`; `expression` is the CEL text when it is one, and `error`
    says why it did not evaluate, when it did not.
    """

    person_id: UUID
    reason: str
    expression: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What an expression may know of a person's account, as `user`."""

    user_id: UUID
    person_id: UUID
    username: str
    name: str
    email: str
    groups: tuple[str, ...]

    def variable(self) -> dict[str, Json]:
        """Return the value of `user`; its keys are `USER_FIELDS`."""
        return {
            "id": str(self.user_id),
            "username": self.username,
            "name": self.name,
            "email": self.email,
            "groups": list(self.groups),
        }


def excluded_persons(exclusions: Exclusions, roles: Roles) -> tuple[Excluded, ...]:
    """Return whom the keywords exclude, in the order of the keywords, each pair once."""
    found: dict[tuple[UUID, str], Excluded] = {}
    for keyword in exclusions.keywords:
        for person_id in _persons(keyword, roles):
            found[person_id, keyword.value] = Excluded(person_id=person_id, reason=keyword.value)
    return tuple(found.values())


def excluded_by_expression(
    exclusions: Exclusions,
    *,
    accounts: Iterable[Account],
    variables: Mapping[str, Json],
    evaluator: Evaluator,
) -> tuple[Excluded, ...]:
    """Return whom the expressions exclude: a person one of whose accounts matches one of them.

    Each person is listed once, with the first expression that held or failed.
    """
    found: dict[UUID, Excluded] = {}
    for account in accounts:
        if account.person_id in found:
            continue
        names = {**variables, "user": account.variable()}
        for expression in exclusions.expressions:
            excluded = _evaluate(expression, names, account.person_id, evaluator)
            if excluded is not None:
                found[account.person_id] = excluded
                break
    return tuple(found.values())


def sentence(excluded: Excluded) -> str:
    """Return why the person may not decide, addressed to that person."""
    if excluded.error:
        return (
            f"The rule's expression {excluded.expression!r} could not be evaluated for you "
            f"({excluded.error}), and an error never lets anybody through."
        )
    if excluded.expression:
        return f"The rule excludes you: {excluded.expression!r} holds for you."
    return _SENTENCES[Keyword(excluded.reason)]


def _evaluate(
    expression: str, names: Mapping[str, Json], person_id: UUID, evaluator: Evaluator
) -> Excluded | None:
    try:
        holds, error = evaluator.condition(expression, names), ""
    except ExpressionError as failure:
        holds, error = True, failure.reason.replace("\x00", "")[: limits.ERROR_CHARS_MAX]
    if not holds:
        return None
    return Excluded(person_id=person_id, reason="expression", expression=expression, error=error)


def _persons(keyword: Keyword, roles: Roles) -> tuple[UUID, ...]:
    one_or_none = {
        Keyword.INITIATOR: roles.initiator,
        Keyword.ON_BEHALF_OF: roles.on_behalf_of,
        Keyword.AGENT_OWNER: roles.agent_owner,
    }
    if keyword in one_or_none:
        person_id = one_or_none[keyword]
        return () if person_id is None else (person_id,)
    many = {
        Keyword.RERUNNER: roles.rerunners,
        Keyword.EDITORS: roles.editors,
        Keyword.VERSION_AUTHORS: roles.version_authors,
        Keyword.EARLIER_DECIDERS: roles.earlier_deciders,
    }
    return many[keyword]

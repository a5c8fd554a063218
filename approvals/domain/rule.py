"""The rule of a request as frozen when it opens. Read `Rule` first.

Names of people and groups stay as the author wrote them; which rows they mean is resolved when the
request opens and kept beside the rule. The rule's JSON is part of what an approver signs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.kernel.types import Json


class Keyword(StrEnum):
    """Whom `exclude` can name without an expression."""

    INITIATOR = "initiator"
    ON_BEHALF_OF = "on-behalf-of"
    RERUNNER = "rerunner"
    AGENT_OWNER = "agent-owner"
    EDITORS = "editors"
    VERSION_AUTHORS = "version-authors"
    EARLIER_DECIDERS = "earlier-deciders"


KEYWORDS_DEFAULT = (
    Keyword.INITIATOR,
    Keyword.ON_BEHALF_OF,
    Keyword.RERUNNER,
    Keyword.AGENT_OWNER,
)


class Asks(StrEnum):
    """What a request asks of people. The value of a question is also the kind of its request."""

    APPROVAL = "approval"  # whether something may go on
    QUESTION = "question"  # what becomes of a step that failed


class AfterExpiry(StrEnum):
    """What becomes of a request that nobody finished in time."""

    REJECT = "reject"
    EXPIRE = "expire"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvers:
    """Who may decide in a stage: anybody whom one of the three names.

    `users` are user names, `groups` names of groups, `permissions` codes of `core.identity`.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """How many people end a stage: `count` approvals, or `reject` rejections (1 is a veto)."""

    count: int = 1
    reject: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRule:
    """One stage. `asked` is false when its `when` was false as the request opened."""

    key: str
    approvers: Approvers
    quorum: Quorum
    asked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """Who may not decide although an approver: closed keywords, and CEL over `user`."""

    keywords: tuple[Keyword, ...] = KEYWORDS_DEFAULT
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who decides what, how many of them, who does not, and what the end of time means.

    Stages come one after the other, in this order. A question has one stage, and the first answer
    ends it.
    """

    stages: tuple[StageRule, ...]
    exclusions: Exclusions
    after_expiry: AfterExpiry | None = None
    asks: Asks = Asks.APPROVAL

    def next_stage(self, *, after: str | None) -> StageRule | None:
        """Return the first asked stage after a stage (`None`: from the beginning), or `None`."""
        asked = [stage for stage in self.stages if stage.asked]
        if after is None:
            return asked[0] if asked else None
        keys = [stage.key for stage in asked]
        following = keys.index(after) + 1
        return asked[following] if following < len(asked) else None

    def stage(self, key: str) -> StageRule:
        """Return a stage by its key. Raises: KeyError."""
        for stage in self.stages:
            if stage.key == key:
                return stage
        raise KeyError(key)

    @property
    def is_four_eyes(self) -> bool:
        """Whether somebody is excluded by rule; only `exclude: []` makes it false."""
        return bool(self.exclusions.keywords or self.exclusions.expressions)


# What people can say, in the order in which it is shown; part of what they sign.
_OUTCOMES = {Asks.APPROVAL: ("approve", "reject"), Asks.QUESTION: ("retry", "skip", "fail")}


def rule_to_json(rule: Rule) -> dict[str, Json]:
    """Return the rule as JSON, the inverse of `rule_from_json`."""
    return {
        "mode": "sequence",
        "outcomes": list(_OUTCOMES[rule.asks]),
        "stages": [_stage_to_json(stage) for stage in rule.stages],
        "exclude": {
            "keywords": [keyword.value for keyword in rule.exclusions.keywords],
            "expressions": list(rule.exclusions.expressions),
        },
        "after_expiry": rule.after_expiry.value if rule.after_expiry else None,
    }


def rule_from_json(value: Mapping[str, Any]) -> Rule:
    """Read back what `rule_to_json` wrote. The value is trusted: it comes from the database."""
    exclude = value["exclude"]
    return Rule(
        stages=tuple(_stage_from_json(stage) for stage in value["stages"]),
        exclusions=Exclusions(
            keywords=tuple(Keyword(keyword) for keyword in exclude["keywords"]),
            expressions=tuple(exclude["expressions"]),
        ),
        after_expiry=AfterExpiry(value["after_expiry"]) if value["after_expiry"] else None,
        asks=next(asks for asks in Asks if list(_OUTCOMES[asks]) == value["outcomes"]),
    )


def _stage_to_json(stage: StageRule) -> dict[str, Json]:
    return {
        "id": stage.key,
        "asked": stage.asked,
        "approvers": {
            "users": list(stage.approvers.users),
            "groups": list(stage.approvers.groups),
            "permissions": list(stage.approvers.permissions),
        },
        "quorum": {"count": stage.quorum.count, "reject": stage.quorum.reject},
    }


def _stage_from_json(value: Mapping[str, Any]) -> StageRule:
    approvers = value["approvers"]
    return StageRule(
        key=value["id"],
        asked=value["asked"],
        approvers=Approvers(
            users=tuple(approvers["users"]),
            groups=tuple(approvers["groups"]),
            permissions=tuple(approvers["permissions"]),
        ),
        quorum=Quorum(count=value["quorum"]["count"], reject=value["quorum"]["reject"]),
    )

"""From the names in a rule to people, and back. Read `resolve_keys`, then `find_eligible`.

Names are resolved once, to audience keys (`core.identity.domain.audience`). Who matches a key is
asked anew each time, so a change of teams or roles acts at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import Group
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q

from approvals.domain.exclusion import Account, Excluded, excluded_by_expression
from approvals.domain.rule import Exclusions, StageRule
from core.identity.domain import audience
from core.identity.domain.permissions import Permission
from core.identity.models import RoleAssignment, User
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.access import Holder, find_holders, list_holder_keys
from core.identity.selectors.principals import map_group_names, map_usernames
from core.kernel import limits
from core.kernel.record import ActorKind
from core.kernel.types import Json
from engine.domain.expressions import Evaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedApprovers:
    """The audience keys of each stage, by its key, and notes about names nobody has."""

    keys: Mapping[str, tuple[str, ...]]
    notes: tuple[Json, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """Who could decide in a stage now.

    `accounts` holds one account for each person, in order of the usernames; `excluded` whom an
    expression excludes beyond those excluded before.
    """

    accounts: Mapping[UUID, Holder]
    excluded: tuple[Excluded, ...] = ()

    @property
    def persons(self) -> frozenset[UUID]:
        """The persons."""
        return frozenset(self.accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """What keeps approvers of a request out: persons, and expressions with their variables."""

    persons: frozenset[UUID]
    exclusions: Exclusions
    variables: Mapping[str, Json]


def resolve_keys(*, stages: Sequence[StageRule], scope_id: UUID) -> ResolvedApprovers:
    """Return the audience keys of every stage; 2 queries, and 2 for each permission named."""
    users = map_usernames(usernames={name for stage in stages for name in stage.approvers.users})
    groups = map_group_names(names={name for stage in stages for name in stage.approvers.groups})
    codes = {code for stage in stages for code in stage.approvers.permissions}
    holders = {
        code: list_holder_keys(permission=Permission(code), scope_id=scope_id) for code in codes
    }
    keys: dict[str, tuple[str, ...]] = {}
    notes: list[Json] = []
    for stage in stages:
        found: dict[str, None] = {}
        for name in stage.approvers.users:
            if name in users:
                found[audience.format_user_key(users[name])] = None
            else:
                notes.append(_note(stage, name, "there is no active account of that name"))
        for name in stage.approvers.groups:
            if name in groups:
                found[audience.format_group_key(groups[name])] = None
            else:
                notes.append(_note(stage, name, "there is no group of that name"))
        for code in stage.approvers.permissions:
            found.update(dict.fromkeys(holders[code]))
        keys[stage.key] = tuple(found)
    return ResolvedApprovers(keys=keys, notes=tuple(notes))


def find_matching_key(*, user_id: UUID, keys: Collection[str]) -> str | None:
    """Return a key that an account matches now, or `None`; at most 2 queries."""
    own = audience.format_user_key(user_id)
    if own in keys:
        return own
    parts = _split(keys)
    if parts.group_ids:
        group_id = (
            Group.objects.filter(user=user_id, pk__in=parts.group_ids)
            .values_list("pk", flat=True)
            .first()
        )
        if group_id is not None:
            return audience.format_group_key(group_id)
    if parts.roles:
        grant = (
            RoleAssignment.objects.live()
            .filter(Q(user_id=user_id) | Q(group__user=user_id))
            .filter(_of_roles(parts.roles))
            .values_list("role__slug", "scope_id")
            .first()
        )
        if grant is not None:
            return parts.roles[grant]
    return None


def find_eligible(
    *,
    scope_id: UUID,
    keys: Collection[str],
    barrier: Barrier,
    evaluator: Evaluator,
    permission: Permission = Permission.DECIDE_REQUEST,
) -> Eligibility:
    """Return who may decide in a stage with these keys now; at most 4 queries.

    Eligible are active people among the approvers who also hold the permission in the scope,
    minus whom the rule excludes. At most `limits.APPROVER_COUNT_MAX` accounts are looked at.
    """
    accounts: dict[UUID, Holder] = {}
    if keys:
        users = User.objects.filter(
            _matching(keys), is_active=True, kind=ActorKind.PERSON.value
        ).order_by("username")
        holders = find_holders(
            permission=permission,
            scope_id=scope_id,
            among=list(users.values_list("pk", flat=True)[: limits.APPROVER_COUNT_MAX]),
        )
        for holder in holders:
            if holder.person_id not in barrier.persons:
                accounts.setdefault(holder.person_id, holder)
    excluded = find_excluded_by_expression(
        person_ids=accounts, barrier=barrier, evaluator=evaluator
    )
    for item in excluded:
        del accounts[item.person_id]
    return Eligibility(accounts=accounts, excluded=excluded)


def find_excluded_by_expression(
    *, person_ids: Collection[UUID], barrier: Barrier, evaluator: Evaluator
) -> tuple[Excluded, ...]:
    """Return whom the expressions exclude among some persons, by any account of theirs; 1 query."""
    if not barrier.exclusions.expressions or not person_ids:
        return ()
    return excluded_by_expression(
        barrier.exclusions,
        accounts=list_accounts(person_ids=person_ids),
        variables=barrier.variables,
        evaluator=evaluator,
    )


def list_accounts(*, person_ids: Collection[UUID]) -> list[Account]:
    """Return every active account of the persons, in order of the usernames; 1 query."""
    rows = (
        User.objects.filter(
            person_id__in=list(person_ids), is_active=True, kind=ActorKind.PERSON.value
        )
        .annotate(teams=ArrayAgg("groups__name", filter=Q(groups__isnull=False), default=[]))
        .order_by("username")
        .values_list("pk", "person_id", "username", "name", "email", "teams")
    )
    return [
        Account(
            user_id=user_id,
            person_id=person_id,
            username=username,
            name=name,
            email=email,
            groups=tuple(sorted(teams)),
        )
        for user_id, person_id, username, name, email, teams in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyParts:
    """Audience keys taken apart. `roles` maps (slug, scope) to its key."""

    user_ids: tuple[UUID, ...]
    group_ids: tuple[int, ...]
    roles: Mapping[tuple[str, UUID], str]


def _split(keys: Iterable[str]) -> _KeyParts:
    user_ids: list[UUID] = []
    group_ids: list[int] = []
    roles: dict[tuple[str, UUID], str] = {}
    for key in keys:
        letter, _, rest = key.partition(":")
        if letter == "u":
            user_ids.append(UUID(rest))
        elif letter == "t":
            group_ids.append(int(rest))
        else:
            slug, _, place = rest.partition("@")
            _, _, scope = place.partition(":")
            roles[slug, UUID(scope) if scope else GLOBAL_SCOPE_ID] = key
    return _KeyParts(user_ids=tuple(user_ids), group_ids=tuple(group_ids), roles=roles)


def _of_roles(roles: Iterable[tuple[str, UUID]]) -> Q:
    condition = Q()
    for slug, scope_id in roles:
        condition |= Q(role__slug=slug, scope_id=scope_id)
    return condition


def _matching(keys: Iterable[str]) -> Q:
    """Return the condition on accounts that match one of the keys."""
    parts = _split(keys)
    condition = Q(pk__in=parts.user_ids) | Q(
        pk__in=User.objects.filter(groups__in=parts.group_ids).values("pk")
    )
    if parts.roles:
        grants = RoleAssignment.objects.live().filter(_of_roles(parts.roles))
        teams = grants.filter(group__isnull=False).values("group_id")
        condition |= Q(pk__in=grants.filter(user__isnull=False).values("user_id"))
        condition |= Q(pk__in=User.objects.filter(groups__in=teams).values("pk"))
    return condition


def _note(stage: StageRule, name: str, reason: str) -> Json:
    return {"stage": stage.key, "name": name, "reason": reason}

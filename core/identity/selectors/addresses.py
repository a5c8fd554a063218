"""Mail addresses of accounts, for those who write to them. Read `find_addresses`."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import Group

from core.identity.domain.permissions import Permission
from core.identity.models import User
from core.identity.selectors.access import find_holders


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where accounts get mail.

    `addresses` are sorted and distinct; `skipped_count` counts accounts that get none; `unreached`
    names what leads to nobody, such as `user nobody`, sorted. It does not tell apart names there
    are not, inactive accounts and those that do not hold the permission.
    """

    addresses: tuple[str, ...]
    skipped_count: int
    unreached: tuple[str, ...]


def find_addresses(
    *,
    usernames: Collection[str],
    group_names: Collection[str],
    permission: Permission,
    scope_id: UUID,
) -> Addresses:
    """Return the addresses of those accounts and members of groups that hold a permission.

    Of those who hold it, at most `limits.APPROVER_COUNT_MAX` are looked at; 4 queries. The caller
    has seen to it that whoever asks may write to them.
    """
    accounts = dict(User.objects.filter(username__in=usernames).values_list("username", "pk"))
    members: dict[str, set[UUID]] = {name: set() for name in group_names}
    for name, user_id in Group.objects.filter(name__in=group_names).values_list("name", "user"):
        members[name].add(user_id)
    everybody = set(accounts.values()).union(*members.values()) - {None}
    holders = find_holders(permission=permission, scope_id=scope_id, among=everybody)
    known = {holder.user_id for holder in holders}
    reached = {holder.user_id: holder.email for holder in holders if holder.email}
    unreached = [f"user {name}" for name in usernames if accounts.get(name) not in known]
    unreached += [f"group {name}" for name, found in members.items() if not found & known]
    return Addresses(
        addresses=tuple(sorted(set(reached.values()))),
        skipped_count=len(everybody) - len(reached),
        unreached=tuple(sorted(unreached)),
    )

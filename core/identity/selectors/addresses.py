"""Mail addresses of accounts, for those who write to them. Read `find_addresses`."""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.db.models import Q

from core.identity.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where accounts get mail.

    `addresses` are sorted and distinct; `skipped_count` counts accounts that are inactive or have
    no address; `unknown` names what there is not, such as `user nobody`, sorted.
    """

    addresses: tuple[str, ...]
    skipped_count: int
    unknown: tuple[str, ...]


def find_addresses(*, usernames: Collection[str], group_names: Collection[str]) -> Addresses:
    """Return the addresses of accounts and of the members of groups; 3 queries.

    The caller has seen to it that whoever asks may write to them.
    """
    rows = (
        User.objects.filter(Q(username__in=usernames) | Q(groups__name__in=group_names))
        .distinct()
        .values_list("username", "email", "is_active")
    )
    people = list(rows)
    known_users = set(
        User.objects.filter(username__in=usernames).values_list("username", flat=True)
    )
    known_groups = set(Group.objects.filter(name__in=group_names).values_list("name", flat=True))
    missing = [f"user {name}" for name in usernames if name not in known_users]
    missing += [f"group {name}" for name in group_names if name not in known_groups]
    reached = [email for _, email, is_active in people if is_active and email]
    return Addresses(
        addresses=tuple(sorted(set(reached))),
        skipped_count=len(people) - len(reached),
        unknown=tuple(sorted(missing)),
    )

"""Names of scopes that packages above own, such as workflows. Read `register_places` first.

Identity knows that a scope lies in a project, never what it is the scope of.
"""

from collections.abc import Callable, Collection
from typing import Final, TypeAlias
from uuid import UUID

# (scope ids, or `None` for all; how many at most) → (scope id, name) pairs, sorted by name.
# Asked only for those who say everywhere who may do what: they may know every name.
PlaceLister: TypeAlias = Callable[[Collection[UUID] | None, int], list[tuple[UUID, str]]]

_LISTERS: Final[list[PlaceLister]] = []


def register_places(fn: PlaceLister) -> None:
    """Let a package name its scopes in the console; called in `ready()`."""
    assert fn not in _LISTERS, f"{fn!r} is registered twice"
    _LISTERS.append(fn)


def list_places(*, limit: int) -> list[tuple[UUID, str]]:
    """Return scopes of packages above with their names, at most `limit` of each package."""
    return [place for lister in _LISTERS for place in lister(None, limit)]


def find_place(*, scope_id: UUID) -> str:
    """Return the name of a scope, "" if nobody knows it."""
    found = [name for lister in _LISTERS for _, name in lister([scope_id], 1)]
    return found[0] if found else ""

"""The scoped keys by which a run names the instances of its steps. Read `step_key` first.

    build#1                 a step of the plan; of a state machine, `review#2` is the second visit
    deploy#1/smoke#1        inside a group or a race
    diagnose#1/item#3       the third item of a map; `cell` of a matrix, `turn` of a loop
    compensate/build#1      what undoes an instance
    deploy#1@2/smoke#1      inside `deploy#1` as it was before it began anew for the second time

A key without its numbers is a *path*: the place in the plan that instances share.
"""

import re
from functools import lru_cache

# What containers call the step they repeat. No step of a definition may have such an id.
BODIES = frozenset({"item", "cell", "turn"})

_UNDO = "compensate/"
_NUMBERS = re.compile(r"#\d+(?:@\d+)?")
_TRIES = re.compile(r"@\d+")
_PART = re.compile(r"([^#]*)(?:#([0-9]{1,9})(?:@([0-9]{1,9}))?)?")
_CACHE_SIZE = 50_000


def step_key(step: str, number: int = 1) -> str:
    """Return the key of an outermost step."""
    return f"{step}#{number}"


def child_key(parent: str, name: str, number: int = 1) -> str:
    """Return the key of an instance inside a container; of an outermost one if `parent` is ""."""
    return f"{parent}/{name}#{number}" if parent else f"{name}#{number}"


def parent_of(key: str) -> str:
    """Return the key of the container an instance is in; "" if it is in none."""
    return key.rpartition("/")[0]


def sibling_key(key: str, name: str) -> str:
    """Return the key of another step of the same group, or of the same run."""
    return child_key(parent_of(key), name)


def number_of(key: str) -> int:
    """Return which instance a key names, from 1; an earlier try's is that of the instance."""
    return int(key.rpartition("#")[2].partition("@")[0])


def parts_of(key: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, number and try at every depth of a key, from the outside.

    The number is 0 where the key has none. The try is 0 of what counts, from 1 of earlier ones. Of
    a compensation they are those of what it undoes.
    """
    return tuple(_part_of(part) for part in undone_by(key).split("/"))


def undo_key(key: str) -> str:
    """Return the key of an instance's compensation."""
    return f"{_UNDO}{key}"


def is_undo(key: str) -> bool:
    """Say whether a key is a compensation's."""
    return key.startswith(_UNDO)


def undone_by(key: str) -> str:
    """Return the key of the instance that a compensation undoes; any other key as it is."""
    return key.removeprefix(_UNDO)


def earlier_key(key: str, around: str, number: int) -> str:
    """Return the key under which an instance is kept once what it is in begins anew.

    `around` is what begins anew, the instance itself or a container around it; `number` which try
    of that is over.
    """
    return f"{around}@{number}{key.removeprefix(around)}"


def any_try_of(key: str) -> str:
    """Return the key that all tries of an instance share: `deploy#1@2/smoke#1` without the `@2`."""
    return _TRIES.sub("", key)


def is_earlier(key: str) -> bool:
    """Say whether a key is that of an earlier try of an instance, not of what is inside one."""
    return "@" in key.rpartition("/")[2]


def counted_key(key: str) -> str:
    """Return the key of the instance that an earlier try was of; any other key as it is."""
    return key.rpartition("@")[0] if is_earlier(key) else key


@lru_cache(maxsize=_CACHE_SIZE)
def path_of(key: str) -> str:
    """Return the place in the plan of a key, a compensation's too: that of what it undoes."""
    return _NUMBERS.sub("", undone_by(key))


@lru_cache(maxsize=_CACHE_SIZE)
def step_of(key: str) -> str:
    """Return the id of the step that a key belongs to, as the definition has it."""
    names = path_of(key).split("/")
    while len(names) > 1 and names[-1] in BODIES:
        names.pop()
    return names[-1]


def prefix_of(key: str, depth: int) -> str:
    """Return the key of the container at a depth around an instance; "" for depth 0."""
    return "/".join(key.split("/")[:depth])


def _part_of(part: str) -> tuple[str, int, int]:
    found = _PART.match(part)
    assert found is not None, "it matches any text"
    return found[1], int(found[2] or 0), int(found[3] or 0)

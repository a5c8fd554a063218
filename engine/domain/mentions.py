"""Which steps an expression may read. Read `mentioned`."""

import re
from collections.abc import Collection, Iterator, Mapping

from core.kernel.types import Json

_STEP_NAME = re.compile(r"""\bsteps\s*(?:\.\s*(\w+)|\[\s*["'](\w+)["']\s*\])?""")


def mentioned(value: Json, *, ids: Collection[str]) -> frozenset[str]:
    """Return the ids of the steps that the expressions inside a JSON value may read.

    It may name too many (a step named in a literal text), never too few: a bare `steps` means all.
    """
    found: set[str] = set()
    for text in _texts(value):
        for match in _STEP_NAME.finditer(text):
            name = match.group(1) or match.group(2)
            if name is None:
                return frozenset(ids)
            if name in ids:
                found.add(name)
    return frozenset(found)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)

"""Keys of steps as addresses and titles have them. Pure. Read `short_key`, then `Titles`.

A short key leaves out the numbers that say "the first":

- `scan`: a step, or a state; `review#2` is the second visit to one
- `deploy/smoke`: inside a group or a race
- `scan/item#3`: the third item of a map
- `compensate/deploy`: what undoes it
- `deploy#1@2/smoke`: inside `deploy` as it was in its second try, before it began anew
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from core.kernel.types import Json
from engine.domain.keys import BODIES, is_earlier, is_undo, parent_of, parts_of, undone_by
from engine.portal.statuses import say_step
from engine.selectors.step_views import StepReader, StepView

_FIRST: Final = re.compile(r"#1(?=/|$)")
_NUMBER: Final = re.compile(r"#\d+(?:@\d+)?$")
_UNDO: Final = "compensate/"
_KEY_CHARS_MAX: Final = 2_000  # an address that is longer names nothing
_ITEM_CHARS_MAX: Final = 60
_CELL: Final = "cell"
_NAMES: Final = ("name", "id", "key", "title", "slug")  # fields that say what an item is


@dataclass(frozen=True, slots=True)
class Titles:
    """What steps of a run are called: with their items, where these are known.

    `items` says what a step is for, and of how many it is one, by key; of what is not among them
    `find` is asked, if there is one.
    """

    items: dict[str, tuple[Json, int]] = field(default_factory=dict)
    find: Callable[[str], tuple[Json, int]] | None = None

    @classmethod
    def over(cls, views: Iterable[StepView], *, reader: StepReader | None = None) -> "Titles":
        """Return the titles of steps as a selector gave them; the `reader` knows the others."""
        items = {view.key: (view.item, view.total) for view in views if view.total}
        return cls(items, reader.find_item if reader is not None else None)

    def of(self, key: str) -> str:
        """Return a title that stands alone.

        "compensate/deploy#1" → "Undo deploy", "scan#1/item#3" → "Scan, item 3 of 20: eu-west".
        """
        if is_undo(key):
            done = self.of(undone_by(key))
            return f"Undo {done[:1].lower()}{done[1:]}"
        around, name = parent_of(key), self.name(key)
        if _is_body(key):
            return f"{self.of(around)}, {name[:1].lower()}{name[1:]}"
        one_of_many = _one_of_many(around)
        return f"{name} ({self.of(one_of_many)})" if one_of_many else name

    def name(self, key: str) -> str:
        """Return a title for where the surroundings are seen: "Build", "Item 3 of 20: eu-west"."""
        if is_undo(key):
            return self.of(key)
        name, number, attempt = parts_of(key)[-1]
        again = f", try {attempt}" if attempt else ""
        if not _is_body(key):
            return say_step(name) + (f", visit {number}" if number > 1 else "") + again
        item, total = self._item(key)
        said = say_item(item)
        if name == _CELL and said:
            return f"Cell ({said}){again}"
        among = f" of {total}" if total else ""
        return f"{name.capitalize()} {number or 1}{among}" + (f": {said}" if said else "") + again

    def _item(self, key: str) -> tuple[Json, int]:
        known = self.items.get(key)
        if known is not None:
            return known
        return self.find(key) if self.find is not None else (None, 0)


def short_key(key: str) -> str:
    """Return a key without the numbers that say "the first": "scan#1" → "scan"."""
    return _FIRST.sub("", key)


def long_key(short: str) -> str:
    """Return the key that a short one stands for; nonsense becomes a key that no step has."""
    if not short:
        return ""
    undo, rest = (_UNDO, undone_by(short)) if is_undo(short) else ("", short)
    parts = rest[:_KEY_CHARS_MAX].split("/")
    return undo + "/".join(part if _NUMBER.search(part) else f"{part}#1" for part in parts)


def title_of(key: str) -> str:
    """Return the title of a key, short or long, of which nothing more is known."""
    return Titles().of(key)


def depth_of(key: str) -> int:
    """Return how many containers are around a step; 0 for a compensation."""
    return 0 if is_undo(key) else key.count("/")


def say_item(item: Json) -> str:
    """Return what an item of a map, or a cell of a matrix, is called; "" if it has no name."""
    if isinstance(item, dict):
        named = next((item[name] for name in _NAMES if isinstance(item.get(name), str)), None)
        values = [value for value in item.values() if not isinstance(value, dict | list)]
        said = str(named) if named else ", ".join(_say(value) for value in values[:4])
    elif isinstance(item, list) or item is None:
        said = ""
    else:
        said = _say(item)
    said = " ".join(said.split())
    return f"{said[: _ITEM_CHARS_MAX - 1]}…" if len(said) > _ITEM_CHARS_MAX else said


def _say(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_body(key: str) -> bool:
    """Say whether a key is what a map, a matrix or a loop repeats."""
    name = key.rpartition("/")[2].partition("#")[0]
    return name in BODIES and "/" in key


def _one_of_many(key: str) -> str:
    """Return what of this and around it there is more than one of, the innermost; "" for nothing.

    That are instances of maps, matrices and loops, and earlier tries.
    """
    while key and not _is_body(key) and not is_earlier(key):
        key = parent_of(key)
    return key

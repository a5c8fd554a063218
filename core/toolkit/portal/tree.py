"""A JSON value as a tree that opens and closes, and as text. Read `make_tree` first."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from core.kernel.types import Json

_NODE_COUNT_MAX: Final = 400  # of one tree; the rest is in the text beside it
_TEXT_CHARS_MAX: Final = 600
_RAW_CHARS_MAX: Final = 100_000
_DEPTH_MAX: Final = 12
_OPEN_DEPTH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNode:
    """A value under its name. `kind` is "text", "number", "word", "list", "map" or "more"."""

    name: str
    kind: str
    text: str
    inside: tuple["TreeNode", ...] = ()
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A value in both forms. `is_cut`: the text is not all of it."""

    tree: tuple[TreeNode, ...]
    raw: str
    is_cut: bool
    is_empty: bool


class _Budget:
    """How many nodes may still be made."""

    def __init__(self) -> None:
        self.left = _NODE_COUNT_MAX


def make_shown(value: Json) -> Shown:
    """Return a value as tree and text, both bounded."""
    raw = json.dumps(value, ensure_ascii=False, indent=2)
    return Shown(
        tree=make_tree(value),
        raw=raw[:_RAW_CHARS_MAX],
        is_cut=len(raw) > _RAW_CHARS_MAX,
        is_empty=value in (None, {}, []),
    )


def make_tree(value: Json) -> tuple[TreeNode, ...]:
    """Return what is inside a value; a value with nothing inside is one node without a name."""
    budget = _Budget()
    if isinstance(value, dict | list):
        return _inside(value, depth=0, budget=budget)
    return (_node("", value, depth=0, budget=budget),)


def _inside(value: Json, *, depth: int, budget: _Budget) -> tuple[TreeNode, ...]:
    nodes: list[TreeNode] = []
    items = list(_items(value))
    for number, (name, item) in enumerate(items):
        if budget.left <= 0:
            more = len(items) - number
            nodes.append(TreeNode(name="", kind="more", text=f"{more} more, see the text"))
            break
        budget.left -= 1
        nodes.append(_node(name, item, depth=depth, budget=budget))
    return tuple(nodes)


def _items(value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield str(number), item


def _node(name: str, value: Json, *, depth: int, budget: _Budget) -> TreeNode:
    if isinstance(value, dict | list):
        kind = "map" if isinstance(value, dict) else "list"
        noun = "entry" if len(value) == 1 else "entries"
        if depth >= _DEPTH_MAX:
            return TreeNode(name=name, kind="more", text=f"{len(value)} {noun}, see the text")
        return TreeNode(
            name=name,
            kind=kind,
            text=f"{len(value)} {noun}",
            inside=_inside(value, depth=depth + 1, budget=budget),
            is_open=depth < _OPEN_DEPTH and len(value) <= 20,  # noqa: PLR2004  # one screen
        )
    if isinstance(value, str):
        cut = value if len(value) <= _TEXT_CHARS_MAX else f"{value[:_TEXT_CHARS_MAX]}…"
        return TreeNode(name=name, kind="text", text=cut)
    is_word = value is None or isinstance(value, bool)
    return TreeNode(name=name, kind="word" if is_word else "number", text=json.dumps(value))

"""What the kinds and subjects of entries are called. Read `register_kinds` first.

The ledger knows kinds only as `noun.verbed`. The packages that write them say here, in `ready()`,
what each is called and what it says about who did it, and name the things that entries are about.
A kind that nobody named is called by its own words. Registering the same thing twice is harmless.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from core.kernel.types import Json

_VALUE_CHARS_MAX: Final = 80  # of one fact inside a sentence; the entry's page has all of it
_LIST_COUNT_MAX: Final = 4  # items of a list inside a sentence
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_SLOT: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """What a kind is called.

    `label` stands in lists of choices. `says` follows the name of who acted, with facts of the
    entry's data in braces; a part in brackets is left out where a fact in it is missing.
    """

    kind: str
    label: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindGroup:
    """Kinds that belong together, in the order they are offered.

    `icon` is drawn beside them; `spell` says how facts of these names are written.
    """

    key: str
    label: str
    icon: str
    kinds: tuple[KindWords, ...]
    spell: Mapping[str, Callable[[str], str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectName:
    """What an entry is about, in words, and its page in the portal ("" if it has none).

    `looks_back`: with `?at=<seq>` that page shows it as it was after the entry.
    """

    words: str
    href: str = ""
    looks_back: bool = False


NameSubjects: TypeAlias = Callable[[Collection[UUID]], Mapping[UUID, SubjectName]]
# What a person types for one thing, such as "A-12" → its id, or `None`.
FindSubject: TypeAlias = Callable[[str], UUID | None]

_groups: Final[dict[str, KindGroup]] = {}
_words: Final[dict[str, tuple[KindGroup, KindWords]]] = {}
_namers: Final[dict[str, NameSubjects]] = {}
_finders: Final[dict[str, FindSubject]] = {}


def register_kinds(
    key: str,
    *,
    label: str,
    icon: str,
    words: Mapping[str, tuple[str, str]],
    spell: Mapping[str, Callable[[str], str]] | None = None,
) -> None:
    """Say what kinds are called.

    Args:
        key: of the group they belong to, unique.
        label: what the group is called.
        icon: the name of its icon in the sprite.
        words: (label, what it says) by kind, see `KindWords`.
        spell: how facts of these names are written in a sentence, such as keys of steps.
    """
    kinds = tuple(
        KindWords(kind=kind, label=name, says=says) for kind, (name, says) in words.items()
    )
    group = KindGroup(key=key, label=label, icon=icon, kinds=kinds, spell=spell or {})
    _groups[key] = group
    _words.update({item.kind: (group, item) for item in kinds})


def register_subject(noun: str, *, name: NameSubjects, find: FindSubject | None = None) -> None:
    """Say how the subjects `<noun>:<uuid>` are named and found, for those who may read about them.

    Args:
        noun: the word before the colon.
        name: gives the names of those that are there, in one query; asked only for subjects of
            entries that the reader may see.
        find: gives the id of the one that a person means by a short text, or `None`.
    """
    _namers[noun] = name
    if find is not None:
        _finders[noun] = find


def list_groups() -> tuple[KindGroup, ...]:
    """Return the groups of kinds, by label."""
    return tuple(sorted(_groups.values(), key=lambda group: group.label))


def find_group(key: str) -> KindGroup | None:
    """Return a group, `None` if there is none of that key."""
    return _groups.get(key)


def say_label(kind: str) -> str:
    """Return what a kind is called: "Decision", or its own words."""
    found = _words.get(kind)
    return found[1].label if found else _spell(kind).capitalize()


def find_icon(kind: str) -> str:
    """Return the icon of a kind's group."""
    found = _words.get(kind)
    return found[0].icon if found else "hash"


def say(kind: str, data: Mapping[str, Json]) -> str:
    """Return what an entry says about who acted, to follow their name: "started the run"."""
    found = _words.get(kind)
    if found is None:
        return f"left “{_spell(kind)}” on record"
    group, words = found
    values = {
        name: group.spell.get(name, str)(_say_value(data.get(name)))
        for name in _SLOT.findall(words.says)
    }
    text = _PART.sub(lambda match: _fill_part(match[1], values), words.says)
    return _SLOT.sub(lambda match: values[match[1]] or "?", text)


def subject_nouns() -> tuple[str, ...]:
    """Return the nouns whose subjects can be named, sorted."""
    return tuple(sorted(_namers))


def name_subjects(noun: str, ids: Collection[UUID]) -> Mapping[UUID, SubjectName]:
    """Return the names of the subjects of a noun, as many as are known; at most 1 query."""
    namer = _namers.get(noun)
    return namer(ids) if namer is not None and ids else {}


def find_subjects(text: str) -> tuple[str, ...]:
    """Return what a person may mean by a text such as "A-12": subjects `<noun>:<uuid>`."""
    found = ((noun, finder(text)) for noun, finder in sorted(_finders.items()))
    return tuple(f"{noun}:{subject}" for noun, subject in found if subject is not None)


def _fill_part(part: str, values: Mapping[str, str]) -> str:
    return part if all(values[name] for name in _SLOT.findall(part)) else ""


def _say_value(value: Json) -> str:
    if isinstance(value, list):
        more = "…" if len(value) > _LIST_COUNT_MAX else ""
        return ", ".join(_say_value(item) for item in value[:_LIST_COUNT_MAX]) + more
    if value is None or isinstance(value, dict):
        return ""
    text = str(value)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[:_VALUE_CHARS_MAX]}…"


def _spell(kind: str) -> str:
    return kind.replace(".", " ").replace("_", " ").replace("-", " ")

"""Version labels and the ranges a `call` names. Read `pick`. Source: semver.org 2.0.0 §9 to §11.

A range is `*`, a label (`1.2.3`), part of one (`1`, `1.2`, `1.2.x`), or one of these after `^`
(nothing that changes the leftmost number that is not zero) or `~` (only the last number grows).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_PRE = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
_LABEL = re.compile(rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER}){_PRE}")
_WILD = rf"(?:{_NUMBER}|[xX*])"
_RANGE = re.compile(
    rf"(?P<sign>[\^~=]?)\s*(?P<major>{_WILD})(?:\.(?P<minor>{_WILD}))?(?:\.(?P<patch>{_WILD}){_PRE})?"
)

_Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A version's number. `pre` holds the parts of a pre-release, none for a release."""

    triple: _Triple
    pre: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[object, ...]:
        """Return what labels are ordered by: a pre-release comes before its release."""
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (*self.triple, not self.pre, parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The labels from `low` (included) to the triple `high` (excluded; `None`: no end)."""

    low: Label
    high: _Triple | None

    def holds(self, label: Label) -> bool:
        """Say whether a label is in the range.

        A pre-release is, only if the range itself names one of the same number.
        """
        if label.pre and not (self.low.pre and label.triple == self.low.triple):
            return False
        if label.rank < self.low.rank:
            return False
        return self.high is None or label.triple < self.high


def find_label(text: str) -> Label | None:
    """Return a label such as `1.2.3` or `2.0.0-rc.1`, or `None` if the text is none."""
    found = _LABEL.fullmatch(text)
    if found is None:
        return None
    triple = (int(found["major"]), int(found["minor"]), int(found["patch"]))
    return Label(triple=triple, pre=_pre_of(found))


def find_range(text: str) -> Range | None:
    """Return a range, or `None` if the text is none."""
    found = _RANGE.fullmatch(text.strip() or "*")
    if found is None:
        return None
    known: list[int] = []
    for name in ("major", "minor", "patch"):
        if found[name] is None or not found[name].isdigit():
            break
        known.append(int(found[name]))
    padded = [*known, 0, 0, 0]
    low = Label(triple=(padded[0], padded[1], padded[2]), pre=_pre_of(found))
    return Range(low=low, high=_high(found["sign"], known))


def pick(text: str, labels: Iterable[str]) -> str | None:
    """Return the highest label in a range; of equal ones the first. `None`: there is none."""
    wanted = find_range(text)
    if wanted is None:
        return None
    best: tuple[Label, str] | None = None
    for item in labels:
        label = find_label(item)
        if label is None or not wanted.holds(label):
            continue
        if best is None or label.rank > best[0].rank:
            best = (label, item)
    return None if best is None else best[1]


def _pre_of(found: re.Match[str]) -> tuple[str, ...]:
    return tuple(found["pre"].split(".")) if found["pre"] else ()


def _high(sign: str, known: list[int]) -> _Triple | None:
    """Return the first triple beyond a range whose leading numbers are known."""
    if not known:
        return None
    place = len(known) - 1  # the number that grows by one: the last known one
    if sign == "^":
        place = next((index for index, number in enumerate(known) if number), place)
    elif sign == "~":
        place = min(place, 1)
    raised = [*known[:place], known[place] + 1, 0, 0]
    return raised[0], raised[1], raised[2]

"""How the demo tells its story: lines with times, and what counts as a surprise."""

import time
from dataclasses import dataclass, field
from typing import NoReturn


class SurpriseError(Exception):
    """The system did something else than the story says."""


@dataclass(slots=True, kw_only=True)
class Teller:
    """Prints lines with the seconds since the story began."""

    began: float = field(default_factory=time.monotonic)
    chapter_count: int = 0

    @property
    def seconds(self) -> float:
        """Return the seconds since the story began."""
        return time.monotonic() - self.began

    def chapter(self, title: str) -> None:
        """Begin a chapter, which gets the next number: not every system has them all."""
        self.chapter_count += 1
        print(f"\n{self.chapter_count}. {title}", flush=True)

    def say(self, who: str, what: str) -> None:
        """Tell one thing that happened."""
        print(f"{self.seconds:6.1f} s  {who:<7}{what}", flush=True)

    def detail(self, what: str) -> None:
        """Tell something about the line before."""
        print(f"{'':17}{what}", flush=True)


def expect(condition: object, surprise: str) -> None:
    """Go on if a condition holds. Raises: SurpriseError."""
    if not condition:
        fail(surprise)


def expect_equal(found: object, wanted: object, what: str) -> None:
    """Go on if two things are equal. Raises: SurpriseError."""
    expect(found == wanted, f"{what} is {found!r}, not {wanted!r}")


def fail(surprise: str) -> NoReturn:
    """End the story. Raises: SurpriseError."""
    raise SurpriseError(surprise)

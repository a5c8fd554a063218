"""What publishing a version says, on its page. Read `make_preview`."""

from dataclasses import dataclass

from core.kernel import limits
from core.kernel.errors import Problem
from core.toolkit.portal.words import say_count
from engine.domain.replaying import Divergence, ReplayNote
from engine.selectors.workflows import VersionView


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """How open runs would fare with a version, and what would keep its own runs waiting.

    `first` is the first difference between a record and what the version gives instead.
    """

    mark: str
    title: str
    sentence: str
    first: Divergence | None
    first_about: str
    warnings: tuple[Problem, ...]


def make_preview(version: VersionView) -> Preview:
    """Return what publishing says of a version that a service returned with its notes."""
    note = version.replay or ReplayNote(
        open_count=0, replayed_count=0, diverging_count=0, first=None
    )
    first = note.first
    return Preview(
        mark="failed" if note.diverging_count else "pending",
        title=_title(note),
        sentence=_sentence(note, rev=version.rev),
        first=first,
        first_about=f"entry {first.seq}, {first.kind}" if first is not None else "",
        warnings=version.warnings,
    )


def _title(note: ReplayNote) -> str:
    if not note.open_count:
        return "No run of another version is open"
    if note.diverging_count:
        return f"{say_count(note.diverging_count, 'open run')} would not go on with this version"
    if not note.replayed_count:
        return "No open run could be tried with this version"
    return "Every open run that was tried would go on with this version"


def _sentence(note: ReplayNote, *, rev: int) -> str:
    if not note.open_count:
        return ""
    most = limits.REPLAY_NOTE_RUN_COUNT_MAX
    count = (
        f"More than {most} runs" if note.open_count > most else say_count(note.open_count, "run")
    )
    keeps = "is open and keeps its own" if note.open_count == 1 else "are open and keep their own"
    return (
        f"{count} of another version {keeps}. {note.replayed_count} could be replayed with v{rev} "
        "in the time there is, as the records are now."
    )

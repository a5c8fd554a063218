"""Whether what was done was undone, from the record of a run alone. Read `judge_undoing`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.domain.events import EventKind, find_decided
from engine.domain.keys import any_try_of, is_undo, path_of, undone_by
from engine.domain.plan import Step, Uses


def judge_undoing(
    steps: Mapping[str, Step], entries: Sequence[Any], *, outcome: str
) -> Iterator[str]:
    """Yield what does not hold of compensation in a run that has closed, in sentences.

    Each completion of a run that failed, or was cancelled with compensation, is undone once;
    nothing is undone more often than it was done, unless it may be undone although it failed.

    Args:
        steps: the plan's, by path.
        entries: the run's, as events or as the ledger stores them.
        outcome: how the run closed.
    """
    done = Counter(
        key
        for entry in entries
        if entry.kind == EventKind.STEP_COMPLETED
        and not is_undo(key := str(entry.data["key"]))
        and steps[path_of(key)].compensate is not None
    )
    begun = Counter(
        any_try_of(undone_by(str(item["key"])))
        for entry in entries
        for item in (find_decided(entry) or {"next": ()})["next"]
        if is_undo(str(item["key"])) and item["attempt"] == 1
    )
    for key, count in begun.items():
        step = steps[path_of(key)]
        is_exact = isinstance(step.verb, Uses) and not step.compensate_on_failure
        if is_exact and count > done[key]:
            yield f"{key} was done {done[key]} times and undone {count} times"
    is_asked = any(entry.data.get("compensate") for entry in entries)  # who cancelled said so
    if outcome == "failed" or (outcome == "cancelled" and is_asked):
        missing = {key: count for key, count in done.items() if begun[key] < count}
        if missing:
            yield f"the run {outcome}; {missing} was done, {dict(begun)} undone"

"""What running a run again would do, in words. Read `make_rerun`."""

from dataclasses import dataclass
from typing import Final

from core.toolkit.portal.words import say_count
from engine.domain.keys import path_of
from engine.domain.rerunning import Again, Why
from engine.portal.naming import Titles
from engine.portal.statuses import Chip, say_outcome
from engine.services.rerunning import Foreseen

_ROW_COUNT_MAX: Final = 200  # steps that the table shows; the API tells of all

_WORDS: Final = {
    Why.CHOSEN: "Runs again, as you chose",
    Why.DEPENDS: "Runs again after {because}",
    Why.APPROVAL: "Asked again, for {because}",
    Why.NOT_DONE: "Runs again: it did not end well",
    Why.UNDONE: "Runs again: it was compensated",
    Why.HANDED_OVER: "Runs again: another run answers for undoing it",
    Why.CHANGED: "Runs again: its definition is another",
    Why.INPUTS: "Runs again: it reads what is different",
    Why.TOO_LARGE: "Runs again: what it made is too large to take over",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRow:
    """A step: how it had ended, and what becomes of it."""

    title: str
    before: Chip | None
    words: str
    mark: str
    asks_people: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunContext:
    """What would be done. `choices` are (key, title) of what can be chosen; `gates` are counted.

    `changed_inputs` and `changed_steps` are names and titles of what differs from the run.
    """

    choices: tuple[tuple[str, str], ...]
    chosen: str
    rows: tuple[RerunRow, ...]
    hidden_count: int
    taken_words: str
    again_words: str
    gate_words: str
    is_machine: bool
    changed_inputs: tuple[str, ...]
    changed_steps: tuple[str, ...]
    hidden_changed_count: int


def make_rerun(foreseen: Foreseen, *, chosen: str) -> RerunContext:
    """Return the page of a rerun; `chosen` is the key that was asked for, "" for everything."""
    titles, rerun = Titles(), foreseen.rerun
    before = {item.key: item.outcome for item in foreseen.choices}
    rows = {
        item.key: _row(titles, item.key, item.outcome, "Taken over", "approved")
        for item in rerun.taken
    }
    for item in rerun.again:
        words, mark = _say(titles, item), "waiting" if item.is_gate else "running"
        rows[item.key] = _row(
            titles, item.key, before.get(item.key, ""), words, mark, asks=item.is_gate
        )
    order = [key for key in before if key in rows] + [key for key in rows if key not in before]
    gates = sum(item.is_gate for item in rerun.again)
    return RerunContext(
        choices=tuple((item.key, titles.of(item.key)) for item in foreseen.choices),
        chosen=_find_choice(foreseen, chosen),
        rows=tuple(rows[key] for key in order[:_ROW_COUNT_MAX]),
        hidden_count=max(0, len(order) - _ROW_COUNT_MAX),
        taken_words=say_count(len(rerun.taken), "step"),
        again_words=say_count(len(rerun.again), "step"),
        gate_words=say_count(gates, "approval") if gates else "",
        is_machine=bool(rerun.start),
        changed_inputs=foreseen.changed_inputs[:_ROW_COUNT_MAX],
        changed_steps=tuple(titles.of(item) for item in foreseen.changed_steps[:_ROW_COUNT_MAX]),
        hidden_changed_count=sum(
            max(0, len(names) - _ROW_COUNT_MAX)
            for names in (foreseen.changed_inputs, foreseen.changed_steps)
        ),
    )


def _find_choice(foreseen: Foreseen, chosen: str) -> str:
    """Return the key of what was chosen by its key or by its id, "" for everything."""
    keys = [item.key for item in foreseen.choices]
    named = [key for key in keys if chosen in {key, path_of(key)}]
    return named[-1] if named else chosen


def _say(titles: Titles, item: Again) -> str:
    because = titles.of(item.because) if item.because else "it"
    if item.is_gate and item.why in {Why.CHOSEN, Why.DEPENDS}:
        return "Asked again" if item.why is Why.CHOSEN else f"Asked again after {because}"
    return _WORDS[item.why].format(because=because)


def _row(
    titles: Titles, key: str, outcome: str, words: str, mark: str, *, asks: bool = False
) -> RerunRow:
    return RerunRow(
        title=titles.of(key),
        before=say_outcome(outcome) if outcome else None,
        words=words,
        mark=mark,
        asks_people=asks,
    )

"""What a case gives for each step, in order. Read `Answers.result`.

A step is named by its key (`deploy#1/item#2`), its path (`deploy/item`) or its id; the most exact
name that the case uses counts. Of a list, each time takes the next.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from core.kernel.types import Json
from countersign.functions import Attempt
from countersign.testing.cases import Canned, Case, Decision, Result
from engine.actions import check_compare, transform_cel
from engine.actions.contract import ActionCall, ActionError, ActionSpec
from engine.domain.keys import is_undo, path_of, step_of

# Pure actions are computed where nothing is given for them: they touch nothing.
_COMPUTED: Final[Mapping[str, ActionSpec]] = {
    spec.reference: spec for spec in (transform_cel.SPEC, check_compare.SPEC)
}
_SHOWN_CHARS_MAX = 300


class NoAnswerError(Exception):
    """A case says nothing of something that happens."""


class Answers:
    """What has been given so far."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._taken: Counter[str] = Counter()

    def result(self, key: str, *, action: str, arguments: Mapping[str, Json]) -> Result:
        """Return what the next attempt of a step gives.

        Raises:
            NoAnswerError: the case says nothing of the step, or its list is used up.
        """
        found: Result | None = self._take("results", self._case.results, key)
        if found is not None:
            return found
        if is_undo(key):
            return Result()  # what undoes something succeeds unless the case says otherwise
        if action in _COMPUTED:
            return _compute(_COMPUTED[action], key, arguments)
        shown = str(dict(arguments))
        shown = shown if len(shown) <= _SHOWN_CHARS_MAX else f"{shown[:_SHOWN_CHARS_MAX]}…"
        used_up = self._taken[f"results {self._name(self._case.results, key)}"]
        times = f"more than {used_up - 1} results" if used_up else "result"
        message = f"{key} executes {action} with {shown}, and the case gives no {times} for it"
        raise NoAnswerError(message)

    def decision(self, key: str) -> Decision | None:
        """Return how people decide a step the next time, `None` if they do not."""
        found: Decision | None = self._take("decisions", self._case.decisions, key)
        return found

    def _take(self, what: str, canned: Mapping[str, Canned], key: str) -> Any:
        name = self._name(canned, key)
        if not name:
            return None
        index = self._taken[f"{what} {name}"]
        self._taken[f"{what} {name}"] += 1
        return canned[name].at(index)

    def _name(self, canned: Mapping[str, Canned], key: str) -> str:
        return next((name for name in names_of(key) if name in canned), "")


def names_of(key: str) -> Iterator[str]:
    """Yield the names a case may use for a key, the most exact first."""
    yield key
    prefix = "compensate/" if is_undo(key) else ""
    yield prefix + path_of(key)
    yield prefix + step_of(key)


def _compute(spec: ActionSpec, key: str, arguments: Mapping[str, Json]) -> Result:
    execute: Callable[[ActionCall], Json] = spec.execute
    attempt = Attempt(
        run_id="test", step=step_of(key), number=1, idempotency_key=key, timeout_seconds=60.0
    )
    try:
        return Result(value=execute(ActionCall(arguments=dict(arguments), attempt=attempt)))
    except ActionError as error:
        return Result(error=error.kind, message=error.message)

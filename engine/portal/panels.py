"""What packages above tell the pages of runs about the steps people end. Read `register_panel`.

The engine knows that a step waits, never for whom. A package with a waiting verb fills these in its
`ready()`; without it the pages say less and still stand.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from core.identity.domain.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPerson:
    """Somebody a wait concerns.

    `status` is a mark's name ("approved", "waiting", "pending", …), `line` says it in words
    ("Approved 9 min ago"). `kind` is the account's.
    """

    name: str
    status: str
    line: str
    kind: str = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPanel:
    """What a waiting step's panel and node show beyond the engine's own facts.

    `address` leads to where it is decided, "" if the reader may not go there. `is_mine`: the reader
    can decide it now. `needed_count` 0 means that no number is known. `consequence` follows the
    deadline ("then the run is rejected").
    """

    address: str = ""
    title: str = ""
    is_mine: bool = False
    due_at: datetime | None = None
    consequence: str = ""
    given_count: int = 0
    needed_count: int = 0
    people: tuple[WaitPerson, ...] = ()
    note: str = ""


# (principal, run id, step keys) → what is known of some of the keys. Constant number of queries.
PanelFunction: TypeAlias = Callable[[Principal, UUID, Collection[str]], Mapping[str, WaitPanel]]
# (principal, ids of runs or workflows) → how many waits are open there, missing where none is.
CountFunction: TypeAlias = Callable[[Principal, Collection[UUID]], Mapping[UUID, int]]

# (principal, run id, step keys, instant) → what could have been known of them then.
PastPanelFunction: TypeAlias = Callable[
    [Principal, UUID, Collection[str], datetime], Mapping[str, WaitPanel]
]

_PAST_PANELS: Final[dict[str, PastPanelFunction]] = {}
_PANELS: Final[dict[str, PanelFunction]] = {}
_RUN_COUNTS: Final[list[CountFunction]] = []
_WORKFLOW_COUNTS: Final[list[CountFunction]] = []


def register_panel(verb: str, fn: PanelFunction) -> None:
    """Let a package show the waits of its verb on the page of a run."""
    assert verb not in _PANELS, f"the panel of {verb} is registered twice"
    _PANELS[verb] = fn


def register_past_panel(verb: str, fn: PastPanelFunction) -> None:
    """Let a package show the waits of its verb on the page of a run as it was."""
    assert verb not in _PAST_PANELS, f"the past panel of {verb} is registered twice"
    _PAST_PANELS[verb] = fn


def register_waiting_counts(*, by_run: CountFunction, by_workflow: CountFunction) -> None:
    """Let a package say in lists how many people's decisions are waited for."""
    _RUN_COUNTS.append(by_run)
    _WORKFLOW_COUNTS.append(by_workflow)


def find_panels(
    *, principal: Principal, run_id: UUID, keys_by_verb: Mapping[str, Collection[str]]
) -> dict[str, WaitPanel]:
    """Return what is known of waiting steps, by key."""
    found: dict[str, WaitPanel] = {}
    for verb, keys in keys_by_verb.items():
        panel = _PANELS.get(verb)
        if panel is not None and keys:
            found.update(panel(principal, run_id, keys))
    return found


def find_past_panels(
    *,
    principal: Principal,
    run_id: UUID,
    keys_by_verb: Mapping[str, Collection[str]],
    at: datetime,
) -> dict[str, WaitPanel]:
    """Return what was known of waiting steps at an instant, by key."""
    found: dict[str, WaitPanel] = {}
    for verb, keys in keys_by_verb.items():
        panel = _PAST_PANELS.get(verb)
        if panel is not None and keys:
            found.update(panel(principal, run_id, keys, at))
    return found


def count_by_run(*, principal: Principal, run_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many waits for people are open in runs; runs without any are missing."""
    return _add(_RUN_COUNTS, principal, run_ids)


def count_by_workflow(*, principal: Principal, workflow_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many waits for people are open in all runs of workflows."""
    return _add(_WORKFLOW_COUNTS, principal, workflow_ids)


def _add(
    functions: Collection[CountFunction], principal: Principal, ids: Collection[UUID]
) -> dict[UUID, int]:
    totals: dict[UUID, int] = {}
    for function in functions:
        for key, count in function(principal, ids).items():
            totals[key] = totals.get(key, 0) + count
    return totals

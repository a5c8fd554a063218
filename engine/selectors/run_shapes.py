"""How far the containers and the machine of a run have come, for drawings. Read `RunShape` first.

Listed steps are bounded; these counts are not: a map over ten thousand items says all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.domain.keys import is_undo
from engine.domain.state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a container has come.

    `total` instances there will be (0: nobody knows, as in a loop), `begun` of them exist, `open`
    of those have not ended, `good` ended well, `failed` failed.
    """

    total: int
    begun: int
    open: int
    good: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShape:
    """What a drawing needs beyond the steps.

    `containers` are by key; a container that has not opened has none. Of a state machine, `current`
    is the key of the visit it is in ("" in none), and `visits` counts those to each state.
    """

    containers: Mapping[str, Progress] = field(default_factory=dict)
    current: str = ""
    visits: Mapping[str, int] = field(default_factory=dict)


def get_shape(*, state: RunState) -> RunShape:
    """Return the shape of a run."""
    return RunShape(
        containers={
            key: Progress(
                total=step.inside.total,
                begun=step.inside.begun,
                open=step.inside.open,
                good=step.inside.good,
                failed=step.inside.failed,
            )
            for key, step in state.steps.items()
            if step.inside is not None and not is_undo(key)
        },
        current=state.current,
        visits=dict(state.visits),
    )

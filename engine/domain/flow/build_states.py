"""The states of a plan. Read `build_state`."""

from engine.domain.flow.build_steps import StepBuilder
from engine.domain.flow.draft import StateDraft, StateEventDraft, TransitionDraft
from engine.domain.flow.reading import map_at
from engine.domain.plan import On, StateEvent, StateNode, Stuck, Transition


def build_state(draft: StateDraft, *, builder: StepBuilder) -> StateNode:
    """Return a state of a draft that has no errors."""
    stuck = None
    if draft.stuck_seconds is not None:
        notify = map_at(map_at(draft.value, "stuck"), "notify")
        stuck = Stuck(seconds=draft.stuck_seconds, to=draft.stuck_to, notify=notify)
    return StateNode(
        id=draft.id,
        step=builder.step(draft.step) if draft.step is not None else None,
        transitions=tuple(map(_transition, draft.transitions)),
        events=tuple(map(_event, draft.events)),
        stuck=stuck,
        final=draft.result if draft.is_final else "",
    )


def _transition(draft: TransitionDraft) -> Transition:
    return Transition(
        on=On(draft.kind),
        to=draft.to,
        name=draft.name,
        seconds=draft.seconds or 0.0,
        condition=draft.condition,
        values=draft.values,
        continue_as_new=draft.continues,
    )


def _event(draft: StateEventDraft) -> StateEvent:
    return StateEvent(
        type=draft.type,
        to=draft.to,
        correlate=draft.correlate,
        condition=draft.condition,
        values=draft.values,
    )

"""The operator of a play: pauses runs, lets them go on, retries and skips steps. Read `work`."""

from functools import partial
from uuid import UUID

from engine import loading
from engine.domain.skipping import find_skip_obstacle
from engine.domain.steering import find_retry_obstacle
from engine.models import Run
from engine.services import steering
from tests.simulation.roles import Roles

_WHY = "an exercise"


def work(roles: Roles) -> None:
    """Do something to some run now and then; in the end, let all go on."""
    dice = roles.stage.dice
    while roles._rest(seconds=dice.choice([0.05, 0.3, 2.0])):
        for run_id in tuple(roles.run_ids):
            status = Run.objects.values_list("status", flat=True).get(pk=run_id)
            if status == "PAUSED":
                if roles.calm or dice.random() < 0.5:
                    _do(roles, "resumes", steering.resume_run, run_id)
                elif dice.random() < 0.5:
                    _steer_step(roles, run_id)
            elif status not in {"HALTED", "CLOSED"} and not roles.calm and dice.random() < 0.5:
                if dice.random() < 0.3:
                    _do(roles, "pauses", steering.pause_run, run_id)
                else:
                    _steer_step(roles, run_id)


def _steer_step(roles: Roles, run_id: UUID) -> None:
    """Try a step again, or skip one, of those for which that makes sense as it is read here."""
    loaded = loading.load_run(run_id=run_id)
    assert loaded is not None, "runs are never deleted"
    decider = loading.get_rules(version_id=loaded.row.version_id).decider
    state, definition = loaded.fold(decider)[0], decider.definition
    keys = sorted(state.steps)
    retriable = [key for key in keys if not find_retry_obstacle(definition, state, key)]
    skippable = [key for key in keys if not find_skip_obstacle(definition, state, key)]
    dice = roles.stage.dice
    if retriable and dice.random() < 0.7:
        key = dice.choice(retriable)
        _do(roles, f"tries {key} again in", partial(steering.retry_step, key=key), run_id)
    elif skippable and dice.random() < 0.5:
        key = dice.choice(skippable)
        _do(roles, f"skips {key} of", partial(steering.skip_step, key=key), run_id)


def _do(roles, words, verb, run_id) -> None:
    """Do a verb, perhaps twice; what is refused is refused."""

    def act() -> None:
        made = verb(principal=roles.principals["mara"], run_id=run_id, reason=_WHY)
        roles.stage.note("operator", f"{words} {roles.place(run_id)}, replayed: {made.replayed}")

    for _ in range(roles.stage.dice.choice([1, 1, 2])):
        roles._insist("operator", act)

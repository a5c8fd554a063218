"""Running pure runs again. Read `rerun`."""

from engine.domain.rerunning import Past, carry, plan_rerun
from tests.pure_run import PureRun


def foresee(run, chosen, **past):
    """Return what running a run again from a step does."""
    return plan_rerun(run.decider.definition, run.state, chosen=chosen, past=Past(**past))


def rerun(run, chosen, *, actions=None, inputs=None, **past):
    """Return the new run, not driven yet."""
    foreseen = foresee(run, chosen, **past)
    before = run.events[0].payloads["vars"]
    first = carry(run.decider.definition, run.state, foreseen, rendered=before, before=before)
    made = PureRun(
        run.plan,
        inputs=run.inputs if inputs is None else inputs,
        variables=first.variables,
        calls=run.calls,
        actions=run.actions if actions is None else actions,
        facts={"state": first.state} if first.state else {},
        payloads=first.payloads,
        now=run.now,
    )
    made.sources.count = 1_000
    return made


def taken(foreseen):
    """Return the keys that are taken over."""
    return [item.key for item in foreseen.taken]


def again(foreseen):
    """Return why what is executed again is, by key."""
    return {item.key: str(item.why) for item in foreseen.again}


def asked(foreseen):
    """Return the keys of the approvals that are asked again."""
    return [item.key for item in foreseen.again if item.is_gate]

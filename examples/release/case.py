"""The release as a use case."""

from examples.stories import Decide, Story, UseCase

_TICKET = {"ticket": "CHG-2041"}

CASE = UseCase(
    slug="release",
    workflow="release",
    title="CI/CD release",
    summary=(
        "Test, scan and build a small real package; engineers and, for production, the change "
        "board approve the very wheel; deploy it, and roll back if it does not work."
    ),
    files=("workflow.yaml",),
    pictured="rolled-back",
    stories=(
        Story(
            slug="to-staging",
            says="An engineer approves, and the wheel is deployed and installed.",
            inputs={"version": "0.9.0", "env": "staging"},
            acts=(Decide(who="ada", form=_TICKET, comment="Read the diff."),),
        ),
        Story(
            slug="rolled-back",
            says="A module is missing from the wheel: the smoke test fails, the target goes back.",
            inputs={"version": "0.9.1", "env": "staging", "sabotage": True},
            acts=(Decide(who="noor", form=_TICKET),),
            ends="failed",
            undone=("deploy",),
        ),
        Story(
            slug="not-now",
            says="An engineer says no.",
            inputs={"version": "0.9.2", "env": "staging"},
            acts=(Decide(who="noor", decision="reject", comment="Not before the holidays."),),
            ends="rejected",
        ),
        Story(
            slug="for-the-board",
            says="An engineer approved; it waits for the change board.",
            inputs={"version": "1.0.0", "env": "production"},
            acts=(Decide(who="ada", form=_TICKET),),
            ends="waiting",
            waits_in="approve",
        ),
    ),
)

"""Bounded code repair as a use case."""

from examples.stories import Decide, Story, UseCase

CASE = UseCase(
    slug="repair",
    workflow="repair",
    title="Bounded code repair",
    summary=(
        "A failing test is reproduced; patches are tried in fresh copies, three at most; a person "
        "reads the diff that passed, and only that is merged."
    ),
    files=("repair.yaml",),
    pictured="second-try",
    stories=(
        Story(
            slug="second-try",
            says="The first patch fails the tests, the second passes, an engineer merges it.",
            inputs={"bug": "leap-year"},
            acts=(Decide(who="ada", step="review", comment="The Gregorian rule, in one line."),),
        ),
        Story(
            slug="hides-the-cause",
            says="The tests pass, and the engineer still says no.",
            inputs={"bug": "empty-list"},
            acts=(
                Decide(
                    who="noor",
                    step="review",
                    decision="reject",
                    comment="It swallows every error, also of wrong types. Test for emptiness.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="gives-up",
            says="Three patches, none passes: the loop ends at its bound, nobody is asked.",
            inputs={"bug": "rounding"},
            ends="failed",
        ),
        Story(
            slug="for-an-engineer",
            says="A patch that waits for an engineer.",
            by="ivo",
            inputs={"bug": "leap-year"},
            ends="waiting",
            waits_in="review",
        ),
    ),
)

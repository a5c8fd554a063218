"""The compliance review as a use case."""

from examples.stories import Decide, Story, UseCase

CASE = UseCase(
    slug="compliance",
    workflow="compliance",
    title="Compliance review with a report",
    summary=(
        "Five access controls are tested on a quarter's evidence. Compliance signs exactly the "
        "report that was written, by its digest; with many exceptions the board signs too."
    ),
    files=("compliance.yaml",),
    pictured="third-quarter",
    stories=(
        Story(
            slug="second-quarter",
            says="Nothing was found; one person signs.",
            by="tess",
            inputs={"quarter": "2026-Q2"},
            acts=(Decide(who="jun", step="sign", form={"opinion": "effective"}),),
        ),
        Story(
            slug="third-quarter",
            says="Seven exceptions: compliance and the board sign.",
            by="tess",
            inputs={"quarter": "2026-Q3"},
            acts=(
                Decide(
                    who="jun",
                    step="sign",
                    form={
                        "opinion": "effective with exceptions",
                        "action": "Two leavers are closed today; the roles of h.wolf are split.",
                    },
                ),
                Decide(who="owen", step="sign"),
            ),
        ),
        Story(
            slug="not-like-this",
            says="The reviewer does not sign.",
            by="mara",
            inputs={"quarter": "2026-Q3"},
            acts=(
                Decide(
                    who="lin",
                    step="sign",
                    decision="reject",
                    comment="r.voss used the account after leaving. An incident, not an exception.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="no-evidence",
            says="There is no evidence for that quarter.",
            by="tess",
            inputs={"quarter": "2026-Q4"},
            ends="failed",
        ),
        Story(
            slug="for-compliance",
            says="A report that waits for a signature.",
            by="tess",
            inputs={"quarter": "2026-Q1"},
            ends="waiting",
            waits_in="sign",
        ),
    ),
)

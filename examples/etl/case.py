"""ETL as a use case."""

from examples.stories import Decide, Story, UseCase

CASE = UseCase(
    slug="etl",
    workflow="etl",
    title="ETL with backfill and data-quality exceptions",
    summary=(
        "A day's sales are checked row by row. With too many bad rows a data steward decides; the "
        "day is loaded as a whole and counted again. Several days can be loaded again at once."
    ),
    files=("etl.yaml", "etl-backfill.yaml"),
    pictured="bad-rows",
    stories=(
        Story(
            slug="clean",
            says="A few bad rows, within what is tolerated: nobody is asked.",
            by="tess",
            inputs={"day": "2026-09-14"},
        ),
        Story(
            slug="bad-rows",
            says="87 of 1,000 rows are bad; a steward loads the rest.",
            by="mara",
            inputs={"day": "2026-09-15"},
            acts=(
                Decide(
                    who="tess",
                    step="decide",
                    form={"cause": "source"},
                    comment="The till in Munich again; the branch corrects it tomorrow.",
                ),
            ),
        ),
        Story(
            slug="unusable",
            says="Three of ten rows are bad: the steward loads nothing.",
            by="mara",
            inputs={"day": "2026-09-16"},
            acts=(
                Decide(
                    who="ada",
                    step="decide",
                    decision="reject",
                    comment="The transfer broke off in the middle. Send it again.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="no-file",
            says="The file has not come.",
            by="tess",
            inputs={"day": "2026-09-19"},
            ends="failed",
        ),
        Story(
            slug="for-a-steward",
            says="A day that waits for a data steward.",
            by="mara",
            inputs={"day": "2026-09-18"},
            ends="waiting",
            waits_in="decide",
        ),
        Story(
            slug="backfill",
            says="Four days are loaded again, two at a time; the one without a file fails alone.",
            by="tess",
            workflow="etl-backfill",
            inputs={"days": ["2026-09-14", "2026-09-15", "2026-09-17", "2026-09-19"]},
            acts=(Decide(who="ada", comment="After the new price list."),),
        ),
    ),
)

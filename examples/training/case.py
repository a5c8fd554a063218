"""Model training as a use case."""

from typing import Any

from examples.stories import Decide, Story, UseCase


def _train(model: str, **other: str) -> dict[str, Any]:
    dataset = other.get("dataset", "churn-2026-08")
    return {"model": model, "dataset": dataset, "experiment": other.get("ab", "september-a")}


CASE = UseCase(
    slug="training",
    workflow="training",
    title="Model training and deployment with A/B evaluation",
    summary=(
        "Three candidates are fitted; the best must beat the model in use by an exact test before "
        "anybody is asked. Model risk approves its digest; an A/B test decides whether it stays."
    ),
    files=("training.yaml",),
    pictured="lost-customers",
    stories=(
        Story(
            slug="stays",
            says="Better by McNemar's test, approved, and the A/B test does not speak against it.",
            inputs=_train("churn"),
            acts=(Decide(who="lin", comment="Segment B gains the most. Fine."),),
        ),
        Story(
            slug="lost-customers",
            says="The A/B test shows lost customers: the model in use comes back.",
            inputs=_train("churn-mobile", ab="september-b"),
            acts=(Decide(who="lin"),),
            ends="failed",
            undone=("deploy",),
        ),
        Story(
            slug="no-better",
            says="On noisy data no candidate beats the rule in use: nobody is asked.",
            by="tess",
            inputs=_train("churn-shop", dataset="churn-2026-09"),
            ends="failed",
        ),
        Story(
            slug="unfair",
            says="Model risk does not accept the difference between the groups.",
            inputs=_train("churn-b2b"),
            acts=(
                Decide(
                    who="lin",
                    decision="reject",
                    comment="Right for 861 of A and 761 of B. Balance the data first.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="for-model-risk",
            says="A better model that waits for model risk.",
            by="tess",
            inputs=_train("churn-trial"),
            ends="waiting",
            waits_in="approve",
        ),
    ),
)

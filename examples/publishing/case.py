"""Content publishing as a use case."""

from examples.stories import Decide, Send, Story, UseCase


def _submit(file: str) -> Send:
    data = {"run": "{run}", "file": file}
    return Send(type="article.submitted", data=data, when="draft")


def _tell(what: str, when: str) -> Send:
    return Send(type=f"article.{what}", data={"run": "{run}"}, when=when)


CASE = UseCase(
    slug="publishing",
    workflow="article",
    title="Content publishing as a state machine",
    summary=(
        "Draft, checks, review, and back to draft as often as it takes. What an editor read is "
        "what goes live, by its digest; a live article can be recalled for a month."
    ),
    files=("article.yaml",),
    pictured="third-draft",
    stories=(
        Story(
            slug="third-draft",
            says="The first draft fails its checks, an editor sends the next one back, then yes.",
            by="jun",
            inputs={"slug": "data-centre"},
            acts=(
                _submit("data-centre-1.markdown"),
                _submit("data-centre-2.markdown"),
                Decide(
                    who="noor",
                    step="review",
                    decision="reject",
                    comment="Is it six our time? Please check with operations.",
                ),
                _submit("data-centre-2.markdown"),
                Decide(who="noor", step="review", comment="It is; they confirmed."),
                _tell("confirmed", "live"),
            ),
        ),
        Story(
            slug="recalled",
            says="The prices go live, and are recalled the same day.",
            by="jun",
            inputs={"slug": "prices"},
            acts=(
                _submit("prices-1.markdown"),
                Decide(who="noor", step="review"),
                _tell("recalled", "live"),
            ),
            ends="cancelled",
        ),
        Story(
            slug="withdrawn",
            says="The author withdraws an article while it is in review.",
            by="mara",
            inputs={"slug": "opening-hours"},
            acts=(_submit("opening-hours-1.markdown"), _tell("withdrawn", "review")),
            ends="cancelled",
        ),
        Story(
            slug="for-an-editor",
            says="An article that waits for an editor.",
            by="mara",
            inputs={"slug": "opening-hours"},
            acts=(_submit("opening-hours-1.markdown"),),
            ends="waiting",
            waits_in="review",
        ),
        Story(
            slug="live",
            says="A live article that could still be recalled.",
            by="tess",
            inputs={"slug": "prices"},
            acts=(_submit("prices-1.markdown"), Decide(who="jun", step="review")),
            ends="waiting",
            waits_in="live",
        ),
    ),
)

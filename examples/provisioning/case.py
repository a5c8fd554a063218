"""Cloud provisioning as a use case."""

from examples.stories import Decide, Story, UseCase

CASE = UseCase(
    slug="provisioning",
    workflow="provisioning",
    title="Cloud provisioning",
    summary=(
        "A plan with its price and digest; engineers, security and finance approve what is dear "
        "or public; network, database and machines are made in order, and taken down in reverse."
    ),
    files=("provisioning.yaml",),
    pictured="quota",
    stories=(
        Story(
            slug="small",
            says="Small and inside only: nobody is asked.",
            by="ivo",
            inputs={"name": "docs-preview", "region": "eu-north", "size": "small"},
        ),
        Story(
            slug="public",
            says="Public: an engineer and security approve.",
            inputs={
                "name": "status-page",
                "region": "eu-west",
                "size": "medium",
                "machines": 2,
                "public": True,
            },
            acts=(
                Decide(who="ada"),
                Decide(who="ivo", comment="Only port 443, behind the usual filter."),
            ),
        ),
        Story(
            slug="quota",
            says="The quota of the region ends at the fourth machine: all is taken down again.",
            inputs={"name": "load-test", "region": "eu-small", "size": "medium", "machines": 5},
            acts=(Decide(who="noor", comment="For the load test on Thursday."),),
            ends="failed",
            undone=("machines", "machines", "machines", "database", "network"),
        ),
        Story(
            slug="too-dear",
            says="Finance does not pay this much for a test.",
            by="ivo",
            inputs={"name": "search-test", "region": "eu-west", "size": "large", "machines": 8},
            acts=(
                Decide(who="ada", comment="Like production."),
                Decide(who="owen", decision="reject", comment="3,700 euros a month for a test?"),
            ),
            ends="rejected",
        ),
        Story(
            slug="for-engineers",
            says="Above 500 euros a month: it waits for an engineer.",
            by="ivo",
            inputs={"name": "reports", "region": "eu-north", "size": "large"},
            ends="waiting",
            waits_in="approve",
        ),
    ),
)

"""Vulnerability management as a use case."""

from examples.stories import Decide, Story, UseCase

CASE = UseCase(
    slug="vulnerabilities",
    workflow="vulnerability",
    title="Vulnerability management",
    summary=(
        "A CycloneDX bill of materials against OSV advisories, CVSS scores, security's decision, "
        "an update for each component, and a second look that nothing serious is left."
    ),
    files=("vulnerability.yaml",),
    pictured="critical",
    stories=(
        Story(
            slug="critical",
            says="Three serious findings: security and an engineer agree, all are fixed.",
            by="tess",
            inputs={"service": "storefront"},
            acts=(
                Decide(
                    who="ivo",
                    form={"exposure": "internet"},
                    comment="0017 is reachable from outside. Today, please.",
                ),
                Decide(who="ada"),
            ),
        ),
        Story(
            slug="clean",
            says="One finding, of low severity: nobody is asked.",
            inputs={"service": "billing"},
        ),
        Story(
            slug="no-fix",
            says="There is no fixed version yet: the update fails, and what it began is undone.",
            inputs={"service": "mailer"},
            acts=(Decide(who="noor", form={"exposure": "internal"}),),
            ends="failed",
            undone=("update",),
        ),
        Story(
            slug="later",
            says="Security wants to update after the sale.",
            by="jun",
            inputs={"service": "storefront", "threshold": 80},
            acts=(
                Decide(
                    who="noor",
                    decision="reject",
                    comment="Behind the gateway rule since Monday; after the sale.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="for-security",
            says="A critical finding in search waits for security.",
            inputs={"service": "search"},
            ends="waiting",
            waits_in="approve",
        ),
    ),
)

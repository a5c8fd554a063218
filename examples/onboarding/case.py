"""Customer onboarding as a use case."""

from typing import Any

from examples.stories import Decide, Send, Story, UseCase


def _customer(number: int, company: str, vat: str, owners: list[str], plan: str) -> dict[str, Any]:
    return {
        "customer": f"C-{number}",
        "company": company,
        "country": vat[:2],
        "vat_number": vat,
        "owners": owners,
        "plan": plan,
    }


def _signed(number: int, users: list[str]) -> Send:
    data = {"customer": f"C-{number}", "users": users}
    return Send(type="contract.signed", data=data, when="contract")


CASE = UseCase(
    slug="onboarding",
    workflow="onboarding",
    title="Customer onboarding",
    summary=(
        "VAT check digits and a fuzzy watch-list screening; sales and compliance decide what is "
        "not plain; the signed contract is waited for, two weeks long, as an event."
    ),
    files=("onboarding.yaml",),
    pictured="resembles",
    stories=(
        Story(
            slug="plain",
            says="Nothing to ask about; the contract comes back and two people get accounts.",
            inputs=_customer(4101, "Wiener Werkbank", "ATU13585627", ["Eva Brandl"], "starter"),
            acts=(_signed(4101, ["eva@werkbank.example", "max@werkbank.example"]),),
        ),
        Story(
            slug="resembles",
            says="An owner's name resembles one on the watch list: sales looks, and it is fine.",
            inputs=_customer(
                4102, "Alexandrov Optik", "DE136695976", ["Victor Alexandrov"], "business"
            ),
            acts=(
                Decide(
                    who="tess",
                    step="accept",
                    comment="Born in 1991 in Kassel; the listed one is 64. Passport seen.",
                ),
                _signed(4102, ["victor@alexandrov-optik.example"]),
            ),
        ),
        Story(
            slug="listed",
            says="An owner is on the list: compliance turns the company down.",
            inputs=_customer(
                4103, "Rue Haute Import", "BE0403501984", ["Élena Marchetti Ruiz"], "enterprise"
            ),
            acts=(
                Decide(who="tess", step="accept", comment="Large, and in a hurry."),
                Decide(
                    who="lin",
                    step="accept",
                    decision="reject",
                    comment="The same person; her assets are frozen.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="declined",
            says="The company does not sign: the run ends well, and no account is made.",
            inputs=_customer(4104, "Luxpress", "LU15027442", ["Paul Weber"], "starter"),
            acts=(Send(type="contract.declined", data={"customer": "C-4104"}, when="contract"),),
        ),
        Story(
            slug="too-many",
            says="The contract names more people than the plan has seats: the account is removed.",
            inputs=_customer(4105, "Großküche Adler", "DE288147535", ["Ida Adler"], "starter"),
            acts=(_signed(4105, [f"cook{number}@adler.example" for number in range(1, 8)]),),
            ends="failed",
            undone=("set_up",),
        ),
        Story(
            slug="for-sales",
            says="A wrong VAT number: it waits for sales.",
            inputs=_customer(4106, "Nordwind Segel", "DE123456789", ["Ole Jensen"], "business"),
            ends="waiting",
            waits_in="accept",
        ),
        Story(
            slug="for-the-contract",
            says="A customer that has the contract on its desk.",
            inputs=_customer(4107, "Salon Mirjam", "ATU13585627", ["Mirjam Huber"], "starter"),
            ends="waiting",
            waits_in="contract",
        ),
    ),
)

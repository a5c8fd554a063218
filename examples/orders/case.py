"""The order saga as a use case."""

from typing import Any

from examples.stories import Cancel, Decide, Story, UseCase


def _order(number: int, customer: str, lines: dict[str, int], **other: str) -> dict[str, Any]:
    return {
        "order": f"O-{number}",
        "customer": customer,
        "country": other.get("country", "DE"),
        "card": other.get("card", "tok_visa"),
        "lines": [{"sku": sku, "quantity": count} for sku, count in lines.items()],
    }


CASE = UseCase(
    slug="orders",
    workflow="order",
    title="Order saga",
    summary=(
        "Stock, payment with retry, a parcel. A large order waits for finance; whatever fails, "
        "the payment is refunded and the goods go back, in reverse."
    ),
    files=("order.yaml",),
    pictured="no-carrier",
    stories=(
        Story(
            slug="busy-provider",
            says="A small order; the payment provider is busy twice, and the third attempt works.",
            inputs=_order(1001, "Café Blum", {"LMP-101": 2, "CBL-005": 6}, card="tok_slow"),
        ),
        Story(
            slug="large",
            says="Five desks and chairs: finance accepts the order.",
            inputs=_order(1002, "Studio Weiss", {"DSK-310": 5, "CHR-220": 5}, country="NL"),
            acts=(Decide(who="owen", comment="They paid the last three in time."),),
        ),
        Story(
            slug="no-carrier",
            says="No carrier goes to Iceland: the payment is refunded, the lamps go back.",
            inputs=_order(1003, "Harbour Hotel", {"LMP-101": 8}, country="IS"),
            ends="failed",
            undone=("charge", "reserve"),
        ),
        Story(
            slug="declined",
            says="The card is declined: the goods go back.",
            inputs=_order(1004, "M. Lang", {"MON-440": 1}, card="tok_declined"),
            ends="failed",
            undone=("reserve",),
        ),
        Story(
            slug="out-of-stock",
            says="Four desk mats are ordered and three are there: nothing was done yet.",
            inputs=_order(1005, "Atelier Roth", {"MAT-070": 4}),
            ends="failed",
        ),
        Story(
            slug="refused",
            says="Finance does not sell that much to a customer it does not know.",
            inputs=_order(1006, "Quick Trade", {"MON-440": 25}, country="FR"),
            acts=(
                Decide(
                    who="tess",
                    decision="reject",
                    comment="A first order, 9,500 euros: prepaid only.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="changed-mind",
            says="The customer calls before finance has looked; the order is cancelled.",
            inputs=_order(1007, "Nordlicht Film", {"MON-440": 4}),
            acts=(Cancel(reason="The customer called: not needed any more.", when="approve"),),
            ends="cancelled",
        ),
        Story(
            slug="for-finance",
            says="A large order that waits for finance.",
            inputs=_order(1008, "Gymnasium Ost", {"DSK-310": 4, "LMP-101": 10}, country="AT"),
            ends="waiting",
            waits_in="approve",
        ),
    ),
)

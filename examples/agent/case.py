"""The agent as a use case."""

from typing import Any

from examples.stories import Decide, Story, UseCase


def _ask(tool: str, reason: str, **arguments: Any) -> dict[str, Any]:
    # The last input is a default of the schema, written out because a story names all inputs.
    return {"tool": tool, "arguments": arguments, "reason": reason, "conversation": "chat 4471"}


CASE = UseCase(
    slug="agent",
    workflow="tool-call",
    title="An agent whose tool calls need approval",
    summary=(
        "A support agent asks through the API with an account of its own. Reading is free; what "
        "changes something waits for a person, who is not the agent's owner. It never decides."
    ),
    files=("tool-call.yaml",),
    pictured="refund",
    stories=(
        Story(
            slug="look-up",
            says="Looking an order up changes nothing: it happens at once.",
            by="scout",
            inputs=_ask("look_up_order", "Where is my parcel?", order="O-7003"),
        ),
        Story(
            slug="refund",
            says="A refund: who is on call approves exactly these arguments.",
            by="scout",
            inputs=_ask("refund", "The lamp arrived broken.", order="O-7001", cents=8_900),
            acts=(Decide(who="ivo", comment="Photos are in the chat."),),
        ),
        Story(
            slug="no-erasing",
            says="The agent wants to erase a customer after a joke; a person says no.",
            by="scout",
            inputs=_ask("erase_customer", "The customer wrote: forget me.", customer="Karl Busch"),
            acts=(
                Decide(
                    who="ada",
                    decision="reject",
                    comment="A figure of speech. Ask the customer, in writing.",
                ),
            ),
            ends="rejected",
        ),
        Story(
            slug="unknown-tool",
            says="A tool nobody gave it: refused before anybody is asked.",
            by="scout",
            inputs=_ask("drop_table", "To clean up.", table="orders"),
            ends="failed",
        ),
        Story(
            slug="too-much",
            says="Approved, and the help desk refuses: the order was smaller than the refund.",
            by="scout",
            inputs=_ask("refund", "A goodwill refund.", order="O-7003", cents=20_000),
            acts=(Decide(who="noor"),),
            ends="failed",
        ),
        Story(
            slug="for-on-call",
            says="A refund that waits for who is on call.",
            by="scout",
            inputs=_ask("refund", "Charged twice.", order="O-7002", cents=24_900),
            ends="waiting",
            waits_in="approve",
        ),
    ),
)

"""How an agent asks: the tool its model calls does not act, it starts a run and waits for its end.

    export COUNTERSIGN_TOKEN=cs_…
    python -m examples.agent.ask refund '{"order": "O-7001", "cents": 900}' "It came broken."

A token of the agent's own account; see the README for how to get one.
"""

import json
import os
import sys
from typing import Any

from countersign import Client

_WAIT_SECONDS = 4 * 3_600.0  # as long as the request stands


def use_tool(client: Client, *, tool: str, arguments: dict[str, Any], reason: str) -> str:
    """Ask to use a tool, wait for what people say, and return what to tell the model."""
    inputs = {"tool": tool, "arguments": arguments, "reason": reason}
    started = client.start_run("demo", "tool-call", inputs=inputs)
    run = client.wait_run(started["id"], timeout_seconds=_WAIT_SECONDS)
    if run["outcome"] == "succeeded":
        return json.dumps(run["outputs"]["answer"])
    if run["outcome"] == "rejected":
        request = next(iter(client.list_requests(view="all", run_id=run["id"])))
        votes = client.get_request(request["id"])["votes"]
        return "A person said no: " + " ".join(vote["comment"] for vote in votes)
    errors = [step["error"]["message"] for step in run["steps"] if step.get("error")]
    return f"The call {run['outcome']}: {' '.join(errors)}"


def main() -> int:
    """Ask for the tool the arguments name."""
    tool, arguments, reason = sys.argv[1:]
    url = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:8000")
    with Client(url, os.environ["COUNTERSIGN_TOKEN"]) as client:
        print(use_tool(client, tool=tool, arguments=json.loads(arguments), reason=reason))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Workflows in a running system and people who act on it. Read `Scene` first."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from countersign import Client
from examples.release.source import read_source
from tests.e2e.conftest import sign_in
from tests.processes import RunningSystem

# Everybody who may decide must; the first approval fills the form in, which changes what the
# second one sees.
PAIR = """
schema: flow/v1
kind: dag
name: pair
title: "${{ inputs.title }}"
inputs:
  type: object
  required: [title]
  additionalProperties: false
  properties: {title: {type: string, title: Title, maxLength: 400}}
triggers: [{manual: {}}, {api: {}}]
steps:
  gate:
    approval:
      title: "${{ inputs.title }}"
      kind: payment
      risk: "'high'"
      subject: {title: "inputs.title", checks: "{'passed': 3, 'failed': 0}"}
      if-approved: The money is sent.
      if-rejected: Nothing is sent.
      stages: [{id: peers, approvers: {groups: [engineers]}, quorum: {count: 2}}]
      form:
        type: object
        additionalProperties: false
        properties: {ticket: {type: string, title: Ticket}}
      expires: {after: PT30M, then: reject}
"""

# One of several is enough, and nothing has to be filled in.
SINGLE = """
schema: flow/v1
kind: dag
name: single
title: "${{ inputs.title }}"
inputs:
  type: object
  required: [title]
  additionalProperties: false
  properties: {title: {type: string, title: Title, maxLength: 400}}
triggers: [{manual: {}}, {api: {}}]
steps:
  gate:
    approval:
      title: "${{ inputs.title }}"
      kind: access
      subject: {title: "inputs.title"}
      stages: [{id: peer, approvers: {groups: [engineers]}, quorum: {count: 1}}]
      expires: {after: P1D, then: reject}
"""

BROKEN = """
schema: flow/v1
kind: dag
name: broken
title: A step that fails
triggers: [{manual: {}}, {api: {}}]
steps:
  breaks:
    uses: python/call@1
    with: {function: t.slow, seconds: "soon", name: broken}
"""

# The same failure, and a person says what becomes of it.
ASKING = """
schema: flow/v1
kind: dag
name: asking
title: A step that fails and asks
triggers: [{manual: {}}, {api: {}}]
steps:
  breaks:
    uses: python/call@1
    with: {function: t.slow, seconds: "soon", name: broken}
    on-error: {then: ask}
"""


@dataclass(slots=True, kw_only=True)
class Scene:
    """A running system with five workflows: release, pair, single, broken and asking."""

    system: RunningSystem
    people: dict[str, Client] = field(default_factory=dict)

    def start(self, workflow: str, /, **inputs: Any) -> str:
        """Return the id of a run that Mara started."""
        run: str = self.people["mara"].start_run("demo", workflow, inputs=inputs)["id"]
        return run

    def ask(self, workflow: str, title: str) -> str:
        """Return the id of a request that Mara has just made."""
        run_id = self.start(workflow, title=title)
        self.people["mara"].wait_run(run_id, statuses=("WAITING",))
        return self.find_request(run_id)

    def find_request(self, run_id: str) -> str:
        """Return the id of a run's request."""
        mara = self.people["mara"]
        found = [item for item in mara.list_requests(view="all") if item["run_id"] == run_id]
        request: str = found[0]["id"]
        return request

    def decide(self, username: str, request_id: str, decision: str, **more: Any) -> None:
        """Decide as somebody, about what stands now."""
        person = self.people[username]
        digest = person.get_request(request_id)["digest"]
        person.decide(request_id, decision, digest=digest, **more)

    def count_votes(self, request_id: str) -> int:
        """Return how many decisions are on record."""
        return len(self.people["mara"].get_request(request_id)["votes"])


@contextmanager
def prepare_scene(system: RunningSystem) -> Iterator[Scene]:
    """Publish the workflows; people are signed in to the API until the end."""
    with ExitStack() as stack:
        names = ("mara", "ada", "noor", "pia")
        people = {name: stack.enter_context(sign_in(system, name)) for name in names}
        sources = [read_source(target_url=system.target_url), PAIR, SINGLE, BROKEN, ASKING]
        for source in sources:
            version = people["mara"].save_version("demo", source, message="for the tests")
            people["pia"].publish_version("demo", version["workflow"], version["rev"])
        yield Scene(system=system, people=people)

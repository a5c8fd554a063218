"""Operators at work on a real database: definitions and a way to act. Read `Operator`."""

from audit import store as ledger
from engine import loading
from tests.integration.engine.field import Field
from tests.world import World

WHY = "the change window closes"

WAITS = """
    schema: flow/v1
    kind: dag
    name: waits
    steps:
      hear: {wait: {event: {type: go, correlate: {id: "'7'"}}}}
      work:
        needs: [hear]
        uses: python/call@1
        with: {function: t.ok, heard: "${{ steps.hear.outputs.result.data.n }}"}
    outputs: {n: "steps.hear.outputs.result.data.n"}
    """

UNDOES = """
    schema: flow/v1
    kind: dag
    name: undoes
    steps:
      first:
        uses: python/call@1
        with: {function: t.ok, at: first}
        compensate: {uses: python/call@1, with: {function: t.ok, at: undo-first}}
      call: {needs: [first], call: "inner@^1"}
    """

INNER = """
    schema: flow/v1
    kind: dag
    name: inner
    steps:
      second:
        uses: python/call@1
        with: {function: t.ok, at: second}
        compensate: {uses: python/call@1, with: {function: t.ok, at: undo-second}}
      stay: {needs: [second], wait: {event: {type: never, correlate: {}}}}
    """


class Operator:
    """Does verbs as somebody and lets everything settle."""

    def __init__(self, field: Field) -> None:
        self.field = field

    def __call__(self, verb, run, *, by="mara", reason=WHY, **fields):
        principal = self.field.world.principal(by)
        made = verb(principal=principal, run_id=run.pk, reason=reason, **fields)
        self.field.settle()
        return made


def new_field() -> Field:
    """Return a field where mara operates, vera looks on, and nina is nobody."""
    loading.forget_all()
    world = World()
    world.user("mara", "requester", "editor", "publisher", "operator")
    world.user("vera", "viewer")
    world.user("nina")
    return Field(world)


def kinds(run):
    return [entry.kind for entry in ledger.read_stream(stream=run.pk, limit=1000)]


def last(run):
    return ledger.read_stream(stream=run.pk, limit=1000)[-1]

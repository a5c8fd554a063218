"""A world with one worker that drives whatever can be driven. Read `Field`."""

import time
from collections.abc import Mapping
from textwrap import dedent

from django.utils.timezone import now

from core.kernel.types import Json
from engine.domain.flow.compiler import ActionInfo, compile_flow
from engine.expressions import CelEvaluator
from engine.models import Run
from engine.services import events, reporting
from tests.world import Hand, World, fold

ACTION = ActionInfo(name="python/call@1", input_schema={"type": "object"}, idempotent=True)


class Field:
    """A world with one worker that drives whatever can be driven."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hand = Hand()

    def publish(self, text: str) -> None:
        """Compile a definition and publish it."""
        compilation = compile_flow(
            dedent(text),
            evaluator=CelEvaluator(),
            verbs={},
            actions=(ACTION,),
            functions=None,
        )
        errors = [item for item in compilation.problems if item.severity == "error"]
        assert compilation.plan is not None, errors
        self.world.publish(compilation.plan, author="mara")

    def start(self, name: str, **inputs) -> Run:
        """Start a run and let everything settle."""
        started = self.world.start(name, by="mara", inputs=inputs)
        self.settle()
        return Run.objects.get(pk=started.run_id)

    def settle(self, *, seconds: float = 5.0) -> None:
        """Drive every run that can move, until none can."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ready = Run.objects.filter(status="READY") | Run.objects.filter(
                status="WAITING", wake_at__lte=now()
            )
            ids = list(ready.values_list("pk", flat=True))
            if not ids:
                reporting.sweep_children()
                events.sweep_events()
                if not ready.exists():
                    return
            for run_id in ids:
                self.hand.drive(run_id)
        raise AssertionError("the runs do not come to rest")

    def send(self, type_: str, **data) -> None:
        """Send an event from outside."""
        events.publish(
            project_id=self.world.project.pk,
            event_type=type_,
            data=data,
            origin=self.world.principal("mara").origin,
        )
        self.settle()


def made_by(run: Run) -> Mapping[str, Json]:
    closing = fold(run.pk).closing
    assert closing is not None, "the run is over"
    return closing.outputs


def error_of(run: Run, key: str) -> str:
    error = fold(run.pk).steps[key].error
    return error.kind if error else ""


def newest_run() -> Run:
    return Run.objects.latest("pk")


def outcome(run: Run) -> str:
    run.refresh_from_db()
    return run.outcome or run.status

"""What operators do to a run that goes on, over HTTP. Read `SteerViewSet`."""

from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    FlagField,
    InputSerializer,
    OutputSerializer,
    TextField,
    read_body,
)
from core.toolkit.api.views import principal_of
from engine.api.events import SentEventSerializer
from engine.api.runs import RunViewSet
from engine.services import addressing, steering


class OperateInput(InputSerializer):
    """Why something is done to a run."""

    reason = TextField(
        max_length=limits.REASON_CHARS_MAX, help_text="For whoever reads the run's record."
    )


class StandstillInput(OperateInput):
    """Why a run is paused or goes on, and whether the runs it has called do."""

    with_children = FlagField(
        required=False,
        default=False,
        help_text="Whether it holds for the runs that this one has called and awaits, too.",
    )


class RunEventInput(OperateInput):
    """An event for one run."""

    type = TextField(max_length=limits.EVENT_TYPE_CHARS_MAX, help_text="Such as `deploy.finished`.")
    data = serializers.DictField(  # type: ignore[assignment]  # DRF takes fields off the class
        required=False, default=dict, help_text="Its content, a JSON map."
    )
    id = TextField(
        required=False,
        default="",
        max_length=limits.EVENT_SOURCE_CHARS_MAX,
        help_text="The sender's own id; sending the same event again with it changes nothing.",
    )


class SteeredSerializer(OutputSerializer):
    """What became of a run by an operator's verb."""

    id = serializers.UUIDField(source="run_id")
    status = serializers.CharField(
        help_text="The run's. One that is RUNNING hears of it as soon as its worker writes."
    )
    replayed = serializers.BooleanField(
        help_text="Whether it was so already, and nothing was written."
    )


class SteerViewSet(RunViewSet):
    """What operators do to a run that goes on."""

    @operation(
        operation_id="runs_pause",
        summary="Pause a run",
        body=StandstillInput,
        answer=SteeredSerializer,
        errors=(403, 404, 409),
    )
    def pause(self, request: Request, run_id: UUID) -> Response:
        """Let nothing new begin in a run: no attempt, no approval, no called run, no timer's end.

        What executes may finish. Open approvals can be decided, and their outcome waits. Time goes
        on: a deadline that passes meanwhile counts when the run is resumed.
        """
        body = read_body(request, StandstillInput)
        steered = steering.pause_run(principal=principal_of(request), run_id=run_id, **body)
        return Response(SteeredSerializer(steered).data)

    @operation(
        operation_id="runs_resume",
        summary="Resume a run",
        body=StandstillInput,
        answer=SteeredSerializer,
        errors=(403, 404, 409),
    )
    def resume(self, request: Request, run_id: UUID) -> Response:
        """Let a run go on that was paused or has halted.

        One that has halted is replayed first; if it would halt again, it stays so and the answer
        says where the record and the installed code differ.
        """
        body = read_body(request, StandstillInput)
        steered = steering.resume_run(principal=principal_of(request), run_id=run_id, **body)
        return Response(SteeredSerializer(steered).data)

    @operation(
        operation_id="runs_step_retry",
        summary="Try a step again",
        body=OperateInput,
        answer=SteeredSerializer,
        errors=(403, 404, 409),
    )
    def retry(self, request: Request, run_id: UUID, key: str) -> Response:
        """Try a step again: now, if its next attempt would begin later; anew, if it has failed.

        If somebody is asked what becomes of the step, this is the answer. In the address the key is
        percent-encoded: `deploy%231`.
        """
        body = read_body(request, OperateInput)
        steered = steering.retry_step(
            principal=principal_of(request), run_id=run_id, key=key, **body
        )
        return Response(SteeredSerializer(steered).data)

    @operation(
        operation_id="runs_step_skip",
        summary="Skip a step",
        body=OperateInput,
        answer=SteeredSerializer,
        errors=(403, 404, 409),
    )
    def skip(self, request: Request, run_id: UUID, key: str) -> Response:
        """Let a run go on without a step that has not ended; it counts as skipped.

        An approval is never skipped, nor what holds one or decides whether one is asked for. In the
        address the key is percent-encoded: `deploy%231`.
        """
        body = read_body(request, OperateInput)
        steered = steering.skip_step(
            principal=principal_of(request), run_id=run_id, key=key, **body
        )
        return Response(SteeredSerializer(steered).data)

    @operation(
        operation_id="runs_event_send",
        summary="Send an event to a run",
        body=RunEventInput,
        answer=SentEventSerializer,
        status=202,
        errors=(403, 404, 409),
    )
    def send(self, request: Request, run_id: UUID) -> Response:
        """Send an event to this run and to no other.

        It has to match what the run waits for, its `correlate` included. It is kept for a week for
        what the run waits for later.
        """
        body = read_body(request, RunEventInput)
        sent = addressing.send_to_run(
            principal=principal_of(request),
            run_id=run_id,
            event_type=body["type"],
            data=body["data"],
            event_id=body["id"],
            reason=body["reason"],
        )
        return Response(SentEventSerializer(sent).data, status=202)

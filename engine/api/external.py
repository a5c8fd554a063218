"""External tasks over HTTP: what a program needs that does the work of steps.

Read `ExternalTaskViewSet`.
"""

from typing import ClassVar
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.toolkit.api.holding import hold
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
    read_body,
)
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.domain.external import TOPIC, ClaimStatus
from engine.external.claiming import claim_tasks
from engine.external.ending import Completion, Failure, end_task, extend_claim
from engine.remote import topic_group

_KIND = r"[a-z][a-z0-9_.-]{0,63}"


class ClaimInput(InputSerializer):
    """What a program asks for."""

    project = TextField(max_length=limits.SLUG_CHARS_MAX, help_text="Slug of the project.")
    topics = serializers.ListField(
        child=serializers.RegexField(rf"^{TOPIC}\Z", trim_whitespace=False),
        min_length=1,
        max_length=limits.CLAIM_TOPIC_COUNT_MAX,
        help_text="What it can do; any of these.",
    )
    worker = serializers.RegexField(
        r"^[!-~]([ -~]*[!-~])?\Z",
        max_length=limits.WORKER_NAME_CHARS_MAX,
        help_text="What it calls itself, for people who look for it: a host name, say.",
    )
    max = WholeNumberField(
        min_value=1, max_value=limits.CLAIM_COUNT_MAX, default=1, help_text="How many at once."
    )
    wait_seconds = WholeNumberField(
        min_value=0,
        max_value=limits.CLAIM_WAIT_SECONDS_MAX,
        default=0,
        help_text="How long to wait for a task if there is none.",
    )
    lease_seconds = WholeNumberField(
        min_value=limits.CLAIM_LEASE_SECONDS_MIN,
        max_value=limits.CLAIM_LEASE_SECONDS_MAX,
        default=limits.CLAIM_LEASE_SECONDS_DEFAULT,
        help_text="How long it may be silent before the attempt counts as lost.",
    )


class HoldingInput(InputSerializer):
    """Who speaks of a task: whoever has the token of its claim."""

    token = serializers.UUIDField(help_text="That of the claim.")


class CompleteInput(HoldingInput):
    """What came out."""

    result = serializers.JSONField(  # the step's `outputs` read it
        required=False, default=None, help_text="Any JSON; the step's `outputs` read it."
    )


class FailInput(HoldingInput):
    """What went wrong."""

    kind = serializers.RegexField(
        rf"^{_KIND}\Z",
        required=False,
        help_text="The error kind, which `retry.errors` may name; see `retryable`.",
    )
    message = TextField(max_length=limits.ERROR_CHARS_MAX, help_text="For people.")
    retryable = serializers.BooleanField(
        default=False,
        help_text="Without a `kind`: `transient` if true, otherwise `permanent`.",
    )


class HandedTaskSerializer(OutputSerializer):
    """A task the caller has now."""

    id = serializers.UUIDField()
    token = serializers.UUIDField(help_text="Fences the claim; every further request names it.")
    topic = serializers.CharField()
    data = serializers.JSONField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text="What the step hands over."
    )
    run_id = serializers.UUIDField()
    step = serializers.CharField()
    attempt = serializers.IntegerField(help_text="Counts from 1.")
    idempotency_key = serializers.CharField(
        help_text="The same for every attempt of the step; hand it on to what you change."
    )
    lease_seconds = serializers.IntegerField()
    lease_until = serializers.DateTimeField(help_text="Send a heartbeat before.")
    deadline_at = serializers.DateTimeField(help_text="When the attempt's time is over.")


class ClaimedSerializer(OutputSerializer):
    """What a claim got."""

    tasks = HandedTaskSerializer(many=True)


class ExtendedSerializer(OutputSerializer):
    """Until when a task is the caller's."""

    lease_until = serializers.DateTimeField()
    deadline_at = serializers.DateTimeField()


class EndedSerializer(OutputSerializer):
    """How a task ended."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(
        choices=[ClaimStatus.COMPLETED.value, ClaimStatus.FAILED.value]
    )
    replayed = serializers.BooleanField(help_text="It was told before.")


class ExternalTaskViewSet(ApiViewSet):
    """Attempts of steps with `uses: external/task@1`."""

    throttle_scopes: ClassVar[dict[str, str]] = {}

    @operation(
        operation_id="external_tasks_claim",
        summary="Claim external tasks",
        body=ClaimInput,
        answer=ClaimedSerializer,
        status=200,
        errors=(403, 404),
    )
    def claim(self, request: Request) -> Response:
        """Take tasks of some topics, those of runs of a higher priority first, then the oldest.

        With `wait_seconds` the answer is kept back until there is one, or the time is over. A task
        is the caller's until its lease or its deadline is over. Whoever holds `execute_task` in
        the project may claim; only the same account may tell how it ended.
        """
        body = read_body(request, ClaimInput)
        tasks = claim_tasks(
            principal=principal_of(request),
            project_slug=body["project"],
            topics=body["topics"],
            worker=body["worker"],
            count=body["max"],
            lease_seconds=body["lease_seconds"],
        )
        response = Response(ClaimedSerializer({"tasks": tasks}).data)
        if not tasks and body["wait_seconds"]:
            groups = [topic_group(topic) for topic in sorted(set(body["topics"]))]
            hold(response, seconds=body["wait_seconds"], groups=groups)
        return response

    @operation(
        operation_id="external_tasks_heartbeat",
        summary="Keep an external task",
        body=HoldingInput,
        answer=ExtendedSerializer,
        status=200,
        errors=(403, 404, 409, 410),
    )
    def heartbeat(self, request: Request, task_id: UUID) -> Response:
        """Begin the lease anew.

        409 `engine.task_cancelled`: the run needs no result any more; stop, and tell how it ended.
        410 `engine.task_gone`: the lease or the attempt's time is over; stop.
        """
        body = read_body(request, HoldingInput)
        extended = extend_claim(
            principal=principal_of(request), task_id=task_id, token=body["token"]
        )
        return Response(ExtendedSerializer(extended).data)

    @operation(
        operation_id="external_tasks_complete",
        summary="Complete an external task",
        body=CompleteInput,
        answer=EndedSerializer,
        status=200,
        errors=(403, 404, 409, 410),
    )
    def complete(self, request: Request, task_id: UUID) -> Response:
        """Tell that the work is done, and what came out.

        The same again gets the same answer, `replayed`; another end is 409 `engine.task_ended`.
        Too late is 410 `engine.task_gone`: the result is kept on the run's record, and nothing
        follows from it.
        """
        body = read_body(request, CompleteInput)
        ended = end_task(
            principal=principal_of(request),
            task_id=task_id,
            token=body["token"],
            told=Completion(result=body["result"]),
        )
        return Response(EndedSerializer(ended).data)

    @operation(
        operation_id="external_tasks_fail",
        summary="Fail an external task",
        body=FailInput,
        answer=EndedSerializer,
        status=200,
        errors=(403, 404, 409, 410),
    )
    def fail(self, request: Request, task_id: UUID) -> Response:
        """Tell that the attempt failed; the step's `retry` says whether there is another.

        Who stops because a heartbeat said that nobody needs the task says the kind `cancelled`: the
        attempt counts as lost then, not as failed.
        """
        body = read_body(request, FailInput)
        kind = body.get("kind") or ("transient" if body["retryable"] else "permanent")
        ended = end_task(
            principal=principal_of(request),
            task_id=task_id,
            token=body["token"],
            told=Failure(kind=kind, message=body["message"]),
        )
        return Response(EndedSerializer(ended).data)

"""Doing one thing to many runs, over HTTP. Read `BulkViewSet`."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import FlagField, OutputSerializer, TextField, read_body
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api.steering import OperateInput
from engine.domain.state import RunStatus
from engine.selectors.runs import RunFilters
from engine.services.bulk import BulkVerb, operate_runs

_OPEN = [item.value for item in RunStatus if item is not RunStatus.CLOSED]


class BulkInput(OperateInput):
    """What is done, why, and to which open runs."""

    verb = serializers.ChoiceField(choices=[item.value for item in BulkVerb])
    project = TextField(help_text="Slug of the project.")
    workflow = TextField(required=False, default=None, help_text="Slug of a workflow.")
    status = serializers.ChoiceField(
        required=False, default=None, choices=_OPEN, help_text="Exactly this status."
    )
    initiator = TextField(required=False, default=None, help_text="Name of an account.")
    compensate = FlagField(
        required=False, default=False, help_text="Of a cancel: undo what has completed before."
    )
    after = serializers.UUIDField(
        required=False, default=None, help_text="`next` of the answer before, for older runs."
    )


class BulkItemSerializer(OutputSerializer):
    """What became of one run."""

    id = serializers.UUIDField(source="run_id")
    number = serializers.IntegerField()
    code = serializers.CharField(help_text="Why it was refused; empty if it was not.")
    message = serializers.CharField()


class BulkSerializer(OutputSerializer):
    """What became of each run, newest first."""

    items = BulkItemSerializer(many=True)
    next = serializers.UUIDField(
        source="next_id", allow_null=True, help_text="There are more: send it as `after`."
    )


class BulkViewSet(ApiViewSet):
    """Many runs at once."""

    @operation(
        operation_id="runs_operate",
        summary="Pause, resume or cancel many runs",
        body=BulkInput,
        answer=BulkSerializer,
        errors=(404,),
    )
    def operate(self, request: Request) -> Response:
        """Pause, resume or cancel the open runs of a project that match, at most 100 at once.

        Each run is done for itself: what is refused for one holds up no other, and the answer says
        why. Doing it twice changes nothing.
        """
        body = read_body(request, BulkInput)
        done = operate_runs(
            principal=principal_of(request),
            verb=BulkVerb(body["verb"]),
            filters=RunFilters(
                project_slug=body["project"],
                workflow_slug=body["workflow"],
                status=body["status"],
                initiator=body["initiator"],
                is_open=True,
            ),
            reason=body["reason"],
            compensate=body["compensate"],
            after=body["after"],
        )
        return Response(BulkSerializer(done).data)

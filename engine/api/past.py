"""A run as it was, over HTTP. Read `PastViewSet`."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    read_query,
)
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api.serializers import RunDetailSerializer
from engine.selectors.past_runs import Moment, get_past


class MomentQuery(InputSerializer):
    """Which past is asked for: without either, the run after its newest entry."""

    at_seq = serializers.IntegerField(
        required=False,
        source="seq",
        min_value=1,
        max_value=limits.RUN_ENTRY_COUNT_MAX,
        help_text="Number of an entry of the run: the state after it.",
    )
    at = serializers.DateTimeField(
        required=False, help_text="An instant: the state after the newest entry by then."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse two answers to one question."""
        if len(attrs) > 1:
            raise serializers.ValidationError({"at": "Ask for at_seq or for at, not for both."})
        return attrs


class ErasedSerializer(OutputSerializer):
    """Values of an entry that were redacted."""

    seq = serializers.IntegerField(help_text="Number of the entry.")
    names = serializers.ListField(child=serializers.CharField())


class PastRunSerializer(OutputSerializer):
    """A run as it was after one of its entries."""

    at_seq = serializers.IntegerField(source="seq", help_text="The entry it is the state after.")
    last_seq = serializers.IntegerField(help_text="How many entries the run has now.")
    kind = serializers.CharField(help_text="What that entry records.")
    written_at = serializers.DateTimeField(help_text="When that was.")
    leaf = serializers.CharField(source="leaf_hex", help_text="Its hash, 64 hex digits.")
    variables = serializers.JSONField(help_text="The run's `vars` then.")
    waiting = serializers.ListField(
        child=serializers.CharField(), help_text="Keys of steps that waited for people then."
    )
    erased = ErasedSerializer(
        many=True, help_text="What was redacted since, of the entries so far."
    )
    unreadable = serializers.CharField(
        source="detail.unreadable",
        help_text="Why the state cannot be told any more, such as a redaction; empty if it can.",
    )
    run = RunDetailSerializer(
        source="detail", help_text="As `GET /runs/{run_id}/` would have shown it then."
    )


class PastViewSet(ApiViewSet):
    """The past of runs the caller may see."""

    @operation(
        operation_id="runs_state",
        summary="Get a run as it was",
        answer=PastRunSerializer,
        query=MomentQuery,
        errors=(404,),
    )
    def retrieve(self, request: Request, run_id: UUID) -> Response:
        """Return the state of a run after one of its entries, folded from its ledger stream.

        Every entry up to there is checked against its hash. Of other runs it says only what this
        run's record named by then, never how they stand now.
        """
        moment = Moment(**read_query(request, MomentQuery))
        found = get_past(principal=principal_of(request), run_id=run_id, moment=moment)
        return Response(PastRunSerializer(found).data)

"""Where the ledger goes, over HTTP. Read `OutwardViewSet`."""

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.selectors import anchors
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import OutputSerializer
from core.toolkit.api.views import ApiViewSet, principal_of


class OutwardItemSerializer(OutputSerializer):
    """An anchor or a sink, and how far it is."""

    name = serializers.CharField()
    kind = serializers.CharField(help_text="file, webhook or witness; syslog or https.")
    position = serializers.IntegerField(
        help_text="A tree size: an anchor has its tree head, a sink every leaf below it."
    )
    lag = serializers.IntegerField(help_text="Leaves there are beyond.")
    state = serializers.CharField(
        help_text=(
            "going; stopped, until somebody lets it go on; or disputed: it knows a tree that is "
            "not this log's."
        )
    )
    moved_at = serializers.DateTimeField(allow_null=True, help_text="The last success.")
    attempt_count = serializers.IntegerField(help_text="Attempts since then.")
    next_at = serializers.DateTimeField(allow_null=True, help_text="When it is due again.")
    last_error = serializers.CharField(help_text="What went wrong since; empty if nothing.")
    error_at = serializers.DateTimeField(allow_null=True)
    told_size = serializers.IntegerField(
        allow_null=True, help_text="The size of the tree that a disputing anchor knows."
    )


class OutwardSerializer(OutputSerializer):
    """Every anchor and sink, in the order of the settings."""

    anchors = OutwardItemSerializer(many=True)
    sinks = OutwardItemSerializer(many=True)


class OutwardViewSet(ApiViewSet):
    """Anchors and sinks, for those who may read the whole ledger."""

    @operation(
        operation_id="ledger_outward_get",
        summary="See where the ledger goes",
        answer=OutwardSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request) -> Response:
        """Return how far each anchor and each sink is, and what went wrong last."""
        found = anchors.get_outward(principal=principal_of(request))
        return Response(OutwardSerializer(found).data)

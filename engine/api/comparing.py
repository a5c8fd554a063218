"""Comparing definitions over HTTP. Read `ComparisonViewSet` first."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import OutputSerializer, WholeNumberField, read_body
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api.serializers import SourceInput
from engine.domain.comparing import worst_of
from engine.services.comparing import Comparison, compare_definition


class ComparisonInput(SourceInput):
    """A definition to compare."""

    rev = WholeNumberField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version to compare with; without it the newest, published or not.",
    )


class ChangeSerializer(OutputSerializer):
    """One change."""

    kind = serializers.CharField(
        help_text="cosmetic: words. additive: more, which disturbs nothing. behavioural: runs may "
        "do something else. governance-weakening: fewer, other or later people may decide, or less "
        "is gated; also what cannot be shown not to.",
    )
    step = serializers.CharField(help_text="Path of the step; empty for the whole definition.")
    field = serializers.CharField(help_text="What of it changed; empty for all of it.")
    message = serializers.CharField(help_text="What happened to it, in words.")
    before = serializers.JSONField(help_text="As compiled; null if there was nothing.")
    after = serializers.JSONField(help_text="As compiled; null if there is nothing.")


class ComparisonSerializer(OutputSerializer):
    """What would change."""

    workflow = serializers.CharField(source="workflow_slug")
    base_rev = serializers.SerializerMethodField(
        help_text="The version it was compared with; null for a workflow that is not there."
    )
    digest = serializers.CharField(source="digest_hex", help_text="As a version's would be.")
    source_digest = serializers.CharField(source="source_digest_hex")
    same_source = serializers.SerializerMethodField(help_text="Whether the texts are equal.")
    same_plan = serializers.SerializerMethodField(
        help_text="Whether both mean exactly the same: then only comments or layout differ."
    )
    worst = serializers.SerializerMethodField(
        help_text="The class of change that matters most; null if nothing changed."
    )
    changes = ChangeSerializer(many=True)

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_base_rev(self, found: Comparison) -> int | None:
        """Return the number of the version it was compared with."""
        return found.base.version.rev if found.base else None

    @extend_schema_field(serializers.BooleanField())
    def get_same_source(self, found: Comparison) -> bool:
        """Return whether the texts are equal."""
        base = found.base
        return base is not None and base.version.source_digest_hex == found.source_digest_hex

    @extend_schema_field(serializers.BooleanField())
    def get_same_plan(self, found: Comparison) -> bool:
        """Return whether both mean the same."""
        return found.base is not None and found.base.version.digest_hex == found.digest_hex

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_worst(self, found: Comparison) -> Any:
        """Return the class that matters most."""
        worst = worst_of(found.changes)
        return worst.value if worst else None


class ComparisonViewSet(ApiViewSet):
    """Comparing definitions with versions."""

    @operation(
        operation_id="definitions_diff",
        summary="Compare a definition with a version of its workflow",
        body=ComparisonInput,
        answer=ComparisonSerializer,
        errors=(404,),
    )
    def create(self, request: Request, project: str) -> Response:
        """Return what would change for the workflow a definition names. Nothing is saved.

        Whoever may see the project may ask; a workflow the caller may not see counts as new.
        """
        body = read_body(request, ComparisonInput)
        found = compare_definition(
            principal=principal_of(request),
            project_slug=project,
            source=body["source"],
            rev=body["rev"],
        )
        return Response(ComparisonSerializer(found).data)

"""Triggers over HTTP. Read `TriggerViewSet` first."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    WholeNumberField,
    read_body,
)
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.domain.triggers import Trigger, trigger_to_json
from engine.selectors import triggers as selectors
from engine.selectors.triggers import TriggerView
from engine.services import triggers as services


class TriggerReasonInput(InputSerializer):
    """Why something is done."""

    reason = TextField(
        max_length=limits.REASON_CHARS_MAX, help_text="For whoever reads the record."
    )


class SecretInput(InputSerializer):
    """A secret for a webhook."""

    secret = TextField(
        required=False,
        default="",
        trim_whitespace=False,
        max_length=limits.HOOK_SECRET_CHARS_MAX,
        help_text="What the sender signs with; without it one is made.",
    )
    overlap_seconds = WholeNumberField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=int(limits.HOOK_OVERLAP_MAX.total_seconds()),
        help_text="How long the secret before still holds; by default a day.",
    )


class SecretSerializer(OutputSerializer):
    """A secret, shown this once."""

    secret = serializers.CharField()
    previous_ends_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when the secret before holds; null if there was none."
    )


class TriggerRefusalSerializer(OutputSerializer):
    """Why a trigger last started nothing."""

    at = serializers.DateTimeField()
    code = serializers.CharField()
    message = serializers.CharField()


class TriggerSerializer(OutputSerializer):
    """A trigger of the newest published version."""

    name = serializers.CharField(help_text="What addresses call it.")
    kind = serializers.CharField(help_text="schedule, event, webhook or run-finished.")
    definition = serializers.DictField(help_text="As it was compiled.")
    enabled = serializers.BooleanField(help_text="Whether nobody has paused it.")
    paused_at = serializers.DateTimeField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True, help_text="Of a schedule.")
    address = serializers.CharField(allow_null=True, help_text="Where a webhook is sent to.")
    secret_made_at = serializers.DateTimeField(
        allow_null=True, help_text="Of a webhook; null while it has no secret and takes nothing."
    )
    previous_secret_ends_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when the secret before holds as well."
    )
    fired_at = serializers.DateTimeField(allow_null=True, help_text="When it last started a run.")
    fired_count = serializers.IntegerField(help_text="Runs this version's trigger started.")
    last_run_id = serializers.UUIDField(allow_null=True)
    last_run_number = serializers.IntegerField(allow_null=True)
    waiting_count = serializers.IntegerField(
        help_text="What it heard and nobody has looked at yet; 1,000 means that or more."
    )
    refusal = TriggerRefusalSerializer(allow_null=True, help_text="The last one; null if none.")

    def to_representation(self, instance: TriggerView) -> dict[str, Any]:
        """Return the fields, those that are said otherwise beside those that are read."""
        is_hook = instance.kind == Trigger.WEBHOOK
        place = (instance.project_slug, instance.workflow_slug, instance.name)
        seen = {
            **{name: getattr(instance, name) for name in TriggerView.__dataclass_fields__},
            "definition": trigger_to_json(instance.trigger),
            "enabled": instance.paused_at is None,
            "address": reverse("api-hook", args=place) if is_hook else None,
        }
        return super().to_representation(seen)


class TriggersSerializer(OutputSerializer):
    """The triggers of a workflow."""

    triggers = TriggerSerializer(many=True, help_text="In the order of the definition.")


class TriggerViewSet(ApiViewSet):
    """What starts a workflow's runs by itself."""

    @operation(
        operation_id="triggers_list",
        summary="List a workflow's triggers",
        answer=TriggersSerializer,
        errors=(404,),
    )
    def list(self, request: Request, project: str, slug: str) -> Response:
        """Return the triggers of the newest published version; a definition has at most 20."""
        found = selectors.list_triggers(
            principal=principal_of(request), project_slug=project, workflow_slug=slug
        )
        return Response(TriggersSerializer({"triggers": found}).data)

    @operation(
        operation_id="triggers_pause",
        summary="Pause a trigger",
        body=TriggerReasonInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def pause(self, request: Request, project: str, slug: str, name: str) -> Response:
        """Let a trigger start nothing until it is resumed; other versions of it neither.

        What it has heard already is still started. Pausing again changes nothing.
        """
        body = read_body(request, TriggerReasonInput)
        services.pause_trigger(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            name=name,
            reason=body["reason"],
        )
        return Response(status=204)

    @operation(
        operation_id="triggers_resume",
        summary="Resume a trigger",
        body=TriggerReasonInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def resume(self, request: Request, project: str, slug: str, name: str) -> Response:
        """Let a paused trigger start runs again, a schedule from its next instant on."""
        body = read_body(request, TriggerReasonInput)
        services.resume_trigger(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            name=name,
            reason=body["reason"],
        )
        return Response(status=204)

    @operation(
        operation_id="triggers_secret",
        summary="Make a secret for a webhook",
        body=SecretInput,
        answer=SecretSerializer,
        status=201,
        errors=(403, 404, 409),
    )
    def secret(self, request: Request, project: str, slug: str, name: str) -> Response:
        """Give a webhook a secret, which is shown this once.

        The secret before holds for a while, so that nothing is lost while the sender changes. Runs
        that are started with a secret count as started by whoever made it here.
        """
        body = read_body(request, SecretInput)
        made = services.make_secret(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            name=name,
            secret=body["secret"],
            overlap_seconds=body["overlap_seconds"],
        )
        return Response(SecretSerializer(made).data, status=201)

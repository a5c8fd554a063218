"""Pauses and quotas over HTTP. Read `ProjectFlowViewSet` first."""

from typing import Any

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
from engine.selectors import flow_control as selectors
from engine.selectors.flow_control import ProjectFlow
from engine.services import flow_control as services

_QUOTA: dict[str, Any] = {
    "required": False,
    "allow_null": True,
    "default": None,
    "min_value": 0,
    "max_value": limits.QUOTA_COUNT_MAX,
}


class PauseInput(InputSerializer):
    """Why runs are not to begin, or may again."""

    reason = TextField(max_length=limits.REASON_CHARS_MAX, help_text="It goes on record.")


class QuotaInput(InputSerializer):
    """How much a project may start; null is what the deployment's settings say, 0 no bound."""

    open_runs = WholeNumberField(**_QUOTA, help_text="Runs that are open at once.")
    starts_per_hour = WholeNumberField(**_QUOTA, help_text="Starts in an hour of UTC.")
    starts_per_day = WholeNumberField(**_QUOTA, help_text="Starts in a day of UTC.")


class PausedSerializer(OutputSerializer):
    """A pause."""

    reason = serializers.CharField()
    paused_at = serializers.DateTimeField()
    paused_by = serializers.CharField(help_text="Name of an account.")


class PausesSerializer(OutputSerializer):
    """What keeps runs of a workflow from beginning."""

    is_paused = serializers.BooleanField(help_text="Whether no run of the workflow begins.")
    workflow = PausedSerializer(allow_null=True, help_text="The pause of the workflow, if any.")
    project = PausedSerializer(allow_null=True, help_text="That of its project, if any.")


class QuotaSerializer(OutputSerializer):
    """One bound of a project."""

    own = serializers.IntegerField(
        allow_null=True, help_text="What was set for it; null is what the settings say."
    )
    limit = serializers.IntegerField(help_text="What counts; 0 is no bound.")
    used = serializers.IntegerField(
        help_text="What it has now. Starts are counted only where they are bounded, and open runs "
        f"no further than just over the bound, or {limits.OPEN_COUNT_SHOWN} without one."
    )


class ProjectFlowSerializer(OutputSerializer):
    """Whether runs of a project begin, and how much it may start."""

    project = serializers.CharField(source="project_slug")
    paused = PausedSerializer(allow_null=True)
    open_runs = QuotaSerializer()
    starts_per_hour = QuotaSerializer()
    starts_per_day = QuotaSerializer()

    def to_representation(self, instance: ProjectFlow) -> dict[str, Any]:
        """Return each bound with what was set and what is used."""
        bounds, use = instance.limits, instance.use
        rows = {
            "open_runs": (bounds.open_run_count_max, use.open_run_count),
            "starts_per_hour": (bounds.hour_start_count_max, use.hour_start_count),
            "starts_per_day": (bounds.day_start_count_max, use.day_start_count),
        }
        return {
            "project": instance.project_slug,
            "paused": PausedSerializer(instance.paused).data if instance.paused else None,
            **{
                name: {"own": own, "limit": limit, "used": used}
                for (name, (limit, used)), own in zip(rows.items(), instance.own, strict=True)
            },
        }


class WorkflowPauseViewSet(ApiViewSet):
    """The pause of one workflow."""

    @operation(
        operation_id="workflows_pauses",
        summary="Get what is paused of a workflow",
        answer=PausesSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, project: str, slug: str) -> Response:
        """Return whether runs of a workflow begin, and if not, why."""
        return self._answer(request, project, slug)

    @operation(
        operation_id="workflows_pause",
        summary="Pause a workflow",
        body=PauseInput,
        answer=PausesSerializer,
        errors=(403, 404),
    )
    def pause(self, request: Request, project: str, slug: str) -> Response:
        """Let no run of a workflow begin until it is resumed; open runs go on.

        Starts are refused with `engine.paused`; what triggers would start waits. Pausing what is
        paused changes nothing.
        """
        body = read_body(request, PauseInput)
        services.pause_workflow(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            reason=body["reason"],
        )
        return self._answer(request, project, slug)

    @operation(
        operation_id="workflows_resume",
        summary="Resume a workflow",
        body=PauseInput,
        answer=PausesSerializer,
        errors=(403, 404),
    )
    def resume(self, request: Request, project: str, slug: str) -> Response:
        """Let runs of a workflow begin again; a pause of its project stays."""
        body = read_body(request, PauseInput)
        services.resume_workflow(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            reason=body["reason"],
        )
        return self._answer(request, project, slug)

    def _answer(self, request: Request, project: str, slug: str) -> Response:
        found = selectors.get_pauses(
            principal=principal_of(request), project_slug=project, workflow_slug=slug
        )
        return Response(PausesSerializer(found).data)


class ProjectFlowViewSet(ApiViewSet):
    """The pause and the quota of one project."""

    @operation(
        operation_id="projects_flow",
        summary="Get a project's pause and quota",
        answer=ProjectFlowSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, project: str) -> Response:
        """Return whether runs of a project begin, how much it may start, and what it has."""
        return self._answer(request, project)

    @operation(
        operation_id="projects_quota",
        summary="Set a project's quota",
        body=QuotaInput,
        answer=ProjectFlowSerializer,
        errors=(403, 404),
    )
    def set_quota(self, request: Request, project: str) -> Response:
        """Set how much a project may start. A start beyond it is answered with 429.

        What triggers would start waits until there is room.
        """
        body = read_body(request, QuotaInput)
        services.set_quota(
            principal=principal_of(request),
            project_slug=project,
            open_run_count_max=body["open_runs"],
            hour_start_count_max=body["starts_per_hour"],
            day_start_count_max=body["starts_per_day"],
        )
        return self._answer(request, project)

    @operation(
        operation_id="projects_pause",
        summary="Pause a project",
        body=PauseInput,
        answer=ProjectFlowSerializer,
        errors=(403, 404),
    )
    def pause(self, request: Request, project: str) -> Response:
        """Let no run of a project begin until it is resumed; open runs go on."""
        body = read_body(request, PauseInput)
        services.pause_project(
            principal=principal_of(request), project_slug=project, reason=body["reason"]
        )
        return self._answer(request, project)

    @operation(
        operation_id="projects_resume",
        summary="Resume a project",
        body=PauseInput,
        answer=ProjectFlowSerializer,
        errors=(403, 404),
    )
    def resume(self, request: Request, project: str) -> Response:
        """Let runs of a project begin again; workflows paused by themselves stay so."""
        body = read_body(request, PauseInput)
        services.resume_project(
            principal=principal_of(request), project_slug=project, reason=body["reason"]
        )
        return self._answer(request, project)

    def _answer(self, request: Request, project: str) -> Response:
        found = selectors.get_project_flow(principal=principal_of(request), project_slug=project)
        return Response(ProjectFlowSerializer(found).data)

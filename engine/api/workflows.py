"""Workflows and versions over HTTP. Read `WorkflowViewSet` first."""

from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import read_body, read_query
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api import examples
from engine.api.serializers import (
    LintSerializer,
    PublishedVersionSerializer,
    SourceInput,
    VersionDetailSerializer,
    VersionInput,
    VersionPreviewSerializer,
    VersionSerializer,
    WorkflowQuery,
    WorkflowSerializer,
)
from engine.selectors import workflows
from engine.services import definitions


class WorkflowViewSet(ApiViewSet):
    """Workflows the caller may see."""

    @operation(
        operation_id="workflows_list",
        summary="List workflows",
        answer=WorkflowSerializer,
        query=WorkflowQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return the workflows the caller may see, newest first."""
        page = read_page_query(request, list_name="workflows")
        rows = workflows.list_workflows(
            principal=principal_of(request),
            **read_query(request, WorkflowQuery),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=WorkflowSerializer
        )

    @operation(
        operation_id="workflows_get",
        summary="Get a workflow",
        answer=WorkflowSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, project: str, slug: str) -> Response:
        """Return one workflow."""
        found = workflows.get_workflow(
            principal=principal_of(request), project_slug=project, workflow_slug=slug
        )
        return Response(WorkflowSerializer(found).data)

    @operation(
        operation_id="workflows_save",
        summary="Save a definition as a draft version",
        body=VersionInput,
        answer=VersionSerializer,
        status=201,
        errors=(403, 404),
        examples=(examples.SAVE, examples.DEFINITION_INVALID),
    )
    def save(self, request: Request, project: str) -> Response:
        """Save a definition as the next draft of the workflow it names, which it may create.

        A text equal to the newest version's gives that version back. What is wrong with a
        definition is in `errors`, with line and column.
        """
        body = read_body(request, VersionInput)
        version = definitions.save_version(
            principal=principal_of(request),
            project_slug=project,
            source=body["source"],
            message=body["message"],
        )
        return Response(VersionSerializer(version).data, status=201)


class VersionViewSet(ApiViewSet):
    """Versions of one workflow."""

    @operation(
        operation_id="versions_list",
        summary="List a workflow's versions",
        answer=VersionSerializer,
        is_list=True,
        errors=(404,),
    )
    def list(self, request: Request, project: str, slug: str) -> Response:
        """Return the versions of a workflow, newest first."""
        page = read_page_query(request, list_name=f"versions:{project}/{slug}")
        rows = workflows.list_versions(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            before_rev=page.after_number(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.rev, shape=VersionSerializer
        )

    @operation(
        operation_id="versions_get",
        summary="Get a version",
        answer=VersionDetailSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, project: str, slug: str, rev: int) -> Response:
        """Return one version with its source, its compiled plan and the schema of its inputs."""
        found = workflows.get_version(
            principal=principal_of(request), project_slug=project, workflow_slug=slug, rev=rev
        )
        return Response(VersionDetailSerializer(found).data)

    @operation(
        operation_id="versions_publish",
        summary="Publish a draft version",
        answer=PublishedVersionSerializer,
        errors=(403, 404, 409, 422),
    )
    def publish(self, request: Request, project: str, slug: str, rev: int) -> Response:
        """Publish a version: new runs use it from now on, runs that have started keep theirs.

        `warnings` says where too few people could decide today.
        """
        version = definitions.publish_version(
            principal=principal_of(request), project_slug=project, workflow_slug=slug, rev=rev
        )
        return Response(PublishedVersionSerializer(version).data)

    @operation(
        operation_id="versions_preview",
        summary="Try a version with open runs",
        answer=VersionPreviewSerializer,
        errors=(403, 404),
    )
    def preview(self, request: Request, project: str, slug: str, rev: int) -> Response:
        """Return what publishing a version would say now, or says of it by now.

        Nothing is changed: open runs of other versions are replayed from their records, a few
        seconds long. Whoever may publish versions of the workflow may ask.
        """
        version = definitions.preview_version(
            principal=principal_of(request), project_slug=project, workflow_slug=slug, rev=rev
        )
        return Response(VersionPreviewSerializer(version).data)


class LintViewSet(ApiViewSet):
    """Checking definitions."""

    @operation(
        operation_id="definitions_lint",
        summary="Check a definition without saving it",
        body=SourceInput,
        answer=LintSerializer,
    )
    def create(self, request: Request) -> Response:
        """Return everything that is wrong with a definition, by position."""
        body = read_body(request, SourceInput)
        problems = definitions.check_source(source=body["source"])
        valid = all(problem.severity != "error" for problem in problems)
        return Response(LintSerializer({"valid": valid, "problems": problems}).data)

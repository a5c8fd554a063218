"""Projects, roles and assignments over HTTP. Read `AssignmentViewSet` first."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from core.identity.api.serializers import (
    AssignmentInput,
    AssignmentQuery,
    AssignmentSerializer,
    ProjectChangeInput,
    ProjectInput,
    ProjectSerializer,
    ReasonInput,
    RoleSerializer,
    ShareInput,
    ShareListSerializer,
)
from core.identity.domain.permissions import Permission
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors import grants
from core.identity.selectors import projects as selectors
from core.identity.services import projects, roles, shares
from core.toolkit.api.pagination import read_page_query, respond_with_page
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import read_body, read_query
from core.toolkit.api.views import ApiViewSet, principal_of


class ProjectViewSet(ApiViewSet):
    """Projects the caller may see.

    Their addresses hold the slug, which is translated to the project's id before it is acted on:
    one call more than elsewhere.
    """

    @operation(
        operation_id="projects_list",
        summary="List projects",
        answer=ProjectSerializer,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return the projects the caller may see, by slug."""
        page = read_page_query(request, list_name="projects")
        rows = selectors.list_projects(
            principal=principal_of(request), after=page.after_text(), limit=page.fetch_count
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.slug, shape=ProjectSerializer
        )

    @operation(
        operation_id="projects_create",
        summary="Make a project",
        body=ProjectInput,
        answer=ProjectSerializer,
        status=201,
        errors=(403, 409),
    )
    def create(self, request: Request) -> Response:
        """Make a project; nobody gets a role in it by that. Takes `change_project` everywhere."""
        body = read_body(request, ProjectInput)
        project = projects.create_project(
            principal=principal_of(request), slug=body["slug"], title=body["title"]
        )
        return Response(ProjectSerializer(project).data, status=201)

    @operation(
        operation_id="projects_get",
        summary="Get a project",
        answer=ProjectSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, project: str) -> Response:
        """Return one project."""
        found = selectors.get_project(principal=principal_of(request), slug=project)
        return Response(ProjectSerializer(found).data)

    @operation(
        operation_id="projects_change",
        summary="Change a project's title",
        body=ProjectChangeInput,
        answer=ProjectSerializer,
        errors=(403, 404),
    )
    def partial_update(self, request: Request, project: str) -> Response:
        """Change what a project is called. Takes `change_project` in it."""
        body = read_body(request, ProjectChangeInput)
        principal = principal_of(request)
        found = selectors.get_project(principal=principal, slug=project)
        changed = projects.change_project(
            principal=principal, project_id=found.id, title=body["title"]
        )
        return Response(ProjectSerializer(changed).data)

    @operation(
        operation_id="shares_list",
        summary="List a project's shares",
        answer=ShareListSerializer,
        errors=(404,),
    )
    def list_shares(self, request: Request, project: str) -> Response:
        """Return what was given on a project without a role. Takes `manage_project_access`."""
        principal = principal_of(request)
        found = selectors.get_project(principal=principal, slug=project)
        rows = grants.list_shares(principal=principal, project_id=found.id)
        return Response(ShareListSerializer({"items": rows}).data)

    @operation(
        operation_id="shares_create",
        summary="Share a project",
        body=ShareInput,
        answer=None,
        status=204,
        errors=(403, 404, 409),
    )
    def share(self, request: Request, project: str) -> Response:
        """Give an account or a team one permission on a project, without a role."""
        body = read_body(request, ShareInput)
        principal = principal_of(request)
        found = selectors.get_project(principal=principal, slug=project)
        shares.share_project(
            principal=principal,
            project_id=found.id,
            permission=Permission(body["permission"]),
            user_id=body["user_id"],
            group_id=body["group_id"],
        )
        return Response(status=204)

    @operation(
        operation_id="shares_revoke",
        summary="Take a share back",
        body=ShareInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def unshare(self, request: Request, project: str) -> Response:
        """Take one permission on a project back from an account or a team."""
        body = read_body(request, ShareInput)
        principal = principal_of(request)
        found = selectors.get_project(principal=principal, slug=project)
        shares.unshare_project(
            principal=principal,
            project_id=found.id,
            permission=Permission(body["permission"]),
            user_id=body["user_id"],
            group_id=body["group_id"],
        )
        return Response(status=204)


class RoleViewSet(ApiViewSet):
    """Roles."""

    @operation(operation_id="roles_list", summary="List roles", answer=RoleSerializer, is_list=True)
    def list(self, request: Request) -> Response:
        """Return the roles and what each of them holds, by slug."""
        page = read_page_query(request, list_name="roles")
        rows = grants.list_roles(after=page.after_text(), limit=page.fetch_count)
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.slug, shape=RoleSerializer
        )


class AssignmentViewSet(ApiViewSet):
    """Who has which role where."""

    @operation(
        operation_id="assignments_list",
        summary="List role assignments",
        answer=AssignmentSerializer,
        query=AssignmentQuery,
        is_list=True,
    )
    def list(self, request: Request) -> Response:
        """Return assignments that have not expired, newest first.

        One's own and one's teams', and those at scopes where the caller manages access.
        """
        page = read_page_query(request, list_name="assignments")
        rows = grants.list_assignments(
            principal=principal_of(request),
            **read_query(request, AssignmentQuery),
            after=page.after_uuid(),
            limit=page.fetch_count,
        )
        return respond_with_page(
            request, query=page, rows=rows, key=lambda row: row.id, shape=AssignmentSerializer
        )

    @operation(
        operation_id="assignments_create",
        summary="Assign a role",
        body=AssignmentInput,
        answer=AssignmentSerializer,
        status=201,
        errors=(403, 404, 409),
    )
    def create(self, request: Request) -> Response:
        """Give an account or a team a role at a scope, for good or until an instant.

        Takes `manage_roles` everywhere, `manage_project_access` in a project,
        `manage_workflow_access` on a workflow. Nobody gives roles to itself.
        """
        body = read_body(request, AssignmentInput)
        assignment = roles.assign_role(
            principal=principal_of(request),
            role=body["role"],
            scope_id=body["scope_id"] or GLOBAL_SCOPE_ID,
            user_id=body["user_id"],
            group_id=body["group_id"],
            expires_at=body["expires_at"],
            reason=body["reason"],
        )
        view = grants.view_assignment(assignment)
        return Response(AssignmentSerializer(view).data, status=201)

    @operation(
        operation_id="assignments_get",
        summary="Get a role assignment",
        answer=AssignmentSerializer,
        errors=(404,),
    )
    def retrieve(self, request: Request, assignment_id: UUID) -> Response:
        """Return one assignment."""
        found = grants.get_assignment(principal=principal_of(request), assignment_id=assignment_id)
        return Response(AssignmentSerializer(found).data)

    @operation(
        operation_id="assignments_revoke",
        summary="Revoke a role assignment",
        body=ReasonInput,
        answer=None,
        status=204,
        errors=(403, 404),
    )
    def revoke(self, request: Request, assignment_id: UUID) -> Response:
        """End an assignment; it counts no more from the next question on."""
        body = read_body(request, ReasonInput)
        roles.revoke_assignment(
            principal=principal_of(request), assignment_id=assignment_id, reason=body["reason"]
        )
        return Response(status=204)

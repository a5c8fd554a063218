"""Reading workflows and versions. Read `list_workflows` first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from core.identity.domain.permissions import Permission
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.kernel.errors import Problem
from engine.domain.errors import VersionMissingError
from engine.domain.replaying import ReplayNote
from engine.domain.state import RunStatus
from engine.models import Version, VersionStatus, Workflow
from engine.selectors.targets import get_workflow_target


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowView:
    """A workflow, with its newest published version (`None`: nothing is published)."""

    id: UUID
    scope_id: UUID
    project_slug: str
    slug: str
    title: str
    created_at: datetime
    published_rev: int | None
    published_at: datetime | None
    latest_rev: int
    open_run_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version. `digest_hex` is the plan's, `source_digest_hex` the text's SHA-256.

    `warnings` is what publishing found that would keep its runs waiting today, and `replay` how
    open runs of other versions would fare with it; both are empty elsewhere.
    """

    id: UUID
    project_slug: str
    workflow_slug: str
    rev: int
    label: str
    status: str
    digest_hex: str
    source_digest_hex: str
    author: str
    message: str
    created_at: datetime
    published_at: datetime | None
    published_by: str | None
    warnings: tuple[Problem, ...] = ()
    replay: ReplayNote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDetail:
    """A version with its content."""

    version: VersionView
    source: str
    plan: dict[str, Any]
    inputs_schema: dict[str, Any]


def list_workflows(
    *,
    principal: Principal,
    project_slug: str | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[WorkflowView]:
    """Return the workflows the caller may see, newest first, after a cursor.

    At most four statements, however many there are.
    """
    query = _visible(principal)
    if project_slug is not None:
        query = query.filter(project__slug=project_slug)
    if after is not None:
        query = query.filter(pk__lt=after)
    return [_workflow_view(row) for row in _annotated(query).order_by("-pk")[:limit]]


def get_workflow(*, principal: Principal, project_slug: str, workflow_slug: str) -> WorkflowView:
    """Return one workflow. Raises: WorkflowMissingError."""
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    return _workflow_view(_annotated(Workflow.objects.filter(pk=target.workflow_id)).get())


def list_versions(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    before_rev: int | None = None,
    limit: int,
) -> list[VersionView]:
    """Return a workflow's versions, newest first. Raises: WorkflowMissingError."""
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    query = _versions().filter(workflow_id=target.workflow_id)
    if before_rev is not None:
        query = query.filter(rev__lt=before_rev)
    return [version_view(row) for row in query.defer("source", "plan").order_by("-rev")[:limit]]


def list_workflow_scopes(
    *, scope_ids: Collection[UUID] | None = None, limit: int
) -> list[tuple[UUID, str]]:
    """Return scopes of workflows with names such as "Workflow shop/release", by name; 1 query.

    For the console, whose visitors give roles everywhere: nobody is asked whether they may see
    the workflow.

    Args:
        scope_ids: which ones, or `None` for all.
        limit: how many at most.
    """
    rows = Workflow.objects.order_by("project__slug", "slug")
    if scope_ids is not None:
        rows = rows.filter(scope_id__in=list(scope_ids))
    named = rows.values_list("scope_id", "project__slug", "slug")[:limit]
    return [(scope_id, f"Workflow {project}/{slug}") for scope_id, project, slug in named]


def get_version(
    *, principal: Principal, project_slug: str, workflow_slug: str, rev: int
) -> VersionDetail:
    """Return one version with its content. Raises: WorkflowMissingError, VersionMissingError."""
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    version = _versions().filter(workflow_id=target.workflow_id, rev=rev).first()
    if version is None:
        raise VersionMissingError(rev=rev)
    return VersionDetail(
        version=version_view(version),
        source=version.source,
        plan=version.plan,
        inputs_schema=version.inputs_schema,
    )


def version_view(version: Version) -> VersionView:
    """Return a version's facts; its workflow, project and people must be loaded."""
    publisher = version.published_by
    return VersionView(
        id=version.id,
        project_slug=version.workflow.project.slug,
        workflow_slug=version.workflow.slug,
        rev=version.rev,
        label=version.label,
        status=version.status,
        digest_hex=bytes(version.digest).hex(),
        source_digest_hex=bytes(version.source_digest).hex(),
        author=version.author.username,
        message=version.message,
        created_at=version.created_at,
        published_at=version.published_at,
        published_by=publisher.username if publisher else None,
    )


def _visible(principal: Principal) -> QuerySet[Workflow]:
    scopes = list_scopes(principal=principal, permission=Permission.VIEW_WORKFLOW)
    if scopes.everything:
        return Workflow.objects.all()
    covered = list(scopes.scope_ids)
    return Workflow.objects.filter(Q(scope_id__in=covered) | Q(scope__parent_id__in=covered))


def _annotated(query: QuerySet[Workflow]) -> QuerySet[Any]:
    versions = Version.objects.filter(workflow=OuterRef("pk")).order_by("-rev")
    published = versions.filter(status=VersionStatus.PUBLISHED)
    return query.select_related("project").annotate(
        published_rev=Subquery(published.values("rev")[:1]),
        published_at=Subquery(published.values("published_at")[:1]),
        latest_rev=Subquery(versions.values("rev")[:1]),
        open_run_count=Count("runs", filter=~Q(runs__status=RunStatus.CLOSED)),
    )


def _versions() -> QuerySet[Version]:
    return Version.objects.select_related("workflow__project", "author", "published_by")


def _workflow_view(row: Any) -> WorkflowView:
    return WorkflowView(
        id=row.id,
        scope_id=row.scope_id,
        project_slug=row.project.slug,
        slug=row.slug,
        title=row.title,
        created_at=row.created_at,
        published_rev=row.published_rev,
        published_at=row.published_at,
        latest_rev=row.latest_rev,
        open_run_count=row.open_run_count,
    )

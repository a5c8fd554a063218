"""Names of what ledger entries are about, for those who may read the entries.

Whoever asks has been shown entries about these things: that is the permission, and nobody is asked
whether they may see the thing itself. Read `list_run_names` first.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from engine.models import Run, Version, Workflow
from engine.secrets.models import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RunName:
    """What a run is called."""

    id: UUID
    number: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowName:
    """What a workflow is called, or one version of it (`rev`, 0 for none; `id` is then its own)."""

    id: UUID
    project_slug: str
    slug: str
    rev: int = 0


def list_run_names(*, run_ids: Collection[UUID]) -> list[RunName]:
    """Return the names of those of the runs that there are, in no order; 1 query."""
    rows = Run.objects.filter(pk__in=list(run_ids)).values_list("pk", "number", "title")
    return [RunName(id=key, number=number, title=title) for key, number, title in rows]


def find_run_id(*, number: int) -> UUID | None:
    """Return the id of the run with a number; 1 query."""
    return Run.objects.filter(number=number).values_list("pk", flat=True).first()


def list_workflow_names(*, workflow_ids: Collection[UUID]) -> list[WorkflowName]:
    """Return the names of those of the workflows that there are, in no order; 1 query."""
    rows = Workflow.objects.filter(pk__in=list(workflow_ids))
    named = rows.values_list("pk", "project__slug", "slug")
    return [WorkflowName(id=key, project_slug=project, slug=slug) for key, project, slug in named]


def list_version_names(*, version_ids: Collection[UUID]) -> list[WorkflowName]:
    """Return the names of those of the versions that there are, in no order; 1 query."""
    rows = Version.objects.filter(pk__in=list(version_ids))
    named = rows.values_list("pk", "workflow__project__slug", "workflow__slug", "rev")
    return [
        WorkflowName(id=key, project_slug=project, slug=slug, rev=rev)
        for key, project, slug, rev in named
    ]


def list_secret_names(*, secret_ids: Collection[UUID]) -> list[tuple[UUID, str]]:
    """Return (id, name) of those of the secrets that there are, in no order; 1 query."""
    return list(Secret.objects.filter(pk__in=list(secret_ids)).values_list("pk", "name"))

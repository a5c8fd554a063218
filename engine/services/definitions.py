"""Saving and publishing versions of a workflow. Read `save_version` first."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from audit.domain.entry import StreamHead, extend
from core.identity.authorize import authorize, require
from core.identity.domain.permissions import Permission, ScopeKind
from core.identity.domain.principal import Principal
from core.identity.selectors.access import list_scopes
from core.identity.services.scopes import create_scope
from core.kernel import ids, limits
from core.kernel.errors import Problem
from core.kernel.record import Draft
from core.toolkit.db import read_database_clock
from countersign.functions import list_functions
from engine import loading, registry, store
from engine.domain.errors import (
    DefinitionInvalidError,
    NotPublishableError,
    VersionMissingError,
)
from engine.domain.flow.compiler import Compilation, compile_flow
from engine.domain.flow.waits import list_waits
from engine.domain.plan import Plan
from engine.domain.plan_json import plan_digest, plan_from_json, plan_to_json
from engine.models import Version, VersionStatus, Workflow
from engine.selectors.secrets import list_unknown_secrets
from engine.selectors.targets import (
    ProjectTarget,
    WorkflowTarget,
    get_project_target,
    get_workflow_target,
)
from engine.selectors.workflows import VersionView, version_view
from engine.services.replaying import note_open_runs
from engine.triggers.installing import install


def check_source(*, source: str | bytes) -> tuple[Problem, ...]:
    """Return everything that is wrong with a definition, errors and warnings, by position."""
    return compile_source(source=source).problems


def save_version(
    *, principal: Principal, project_slug: str, source: str, message: str = ""
) -> VersionView:
    """Save a definition as a draft version of the workflow it names, creating the workflow.

    Idempotent: text equal to the newest version's gives that version back.
    Transaction: one of its own; the workflow's row is locked.

    Raises:
        ProjectMissingError: no such project, or the caller may not see it.
        AccessForbiddenError: the caller may not edit the workflow (or the project's workflows).
        DefinitionInvalidError: the definition has errors; `problems` lists them.
    """
    project = get_project_target(principal=principal, project_slug=project_slug)
    # Before the text is looked at: compiling costs, and what it finds is for those who may edit.
    _require_some_edit(principal, project=project)
    compilation = compile_source(source=source)
    _require_edit(principal, project=project, compilation=compilation)
    errors = [problem for problem in compilation.problems if problem.severity == "error"]
    if compilation.plan is None or errors:
        raise DefinitionInvalidError(problems=compilation.problems)
    with transaction.atomic():
        return _save(
            principal=principal,
            project=project,
            plan=compilation.plan,
            compilation=compilation,
            source=source,
            message=message,
        )


def publish_version(
    *,
    principal: Principal,
    project_slug: str,
    workflow_slug: str,
    rev: int,
    with_notes: bool = True,
) -> VersionView:
    """Publish a draft: new runs use it from now on; runs that have started keep theirs.

    Idempotent: publishing a published version changes nothing. Transaction: one of its own.
    Without `with_notes` it says nothing more; `preview_version` does then.

    Returns:
        The version; its `warnings` say where too few people could decide today. They stand in
        nobody's way: people come and go, and a run that waits for them says so. Nor does its
        `replay`, which says how open runs of other versions would fare with this one.

    Raises:
        WorkflowMissingError, VersionMissingError: there is no such version to be seen.
        AccessForbiddenError: the caller may not publish it.
        DefinitionInvalidError: what it names is not installed any more.
        NotPublishableError: the version is retired.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    with transaction.atomic():
        version_id = _publish(principal=principal, target=target, rev=rev)
    return _with_warnings(version_id) if with_notes else _view(version_id)


def preview_version(
    *, principal: Principal, project_slug: str, workflow_slug: str, rev: int
) -> VersionView:
    """Return a version with what publishing it would say now, whatever its status.

    Nothing is changed. It replays open runs, for `limits.REPLAY_NOTE_SECONDS` at most.

    Raises:
        WorkflowMissingError, VersionMissingError: there is no such version to be seen.
        AccessForbiddenError: the caller may not publish versions of the workflow.
    """
    target = get_workflow_target(
        principal=principal, project_slug=project_slug, workflow_slug=workflow_slug
    )
    require(principal=principal, permission=Permission.PUBLISH_WORKFLOW, scope_id=target.scope_id)
    version = Version.objects.filter(workflow_id=target.workflow_id, rev=rev).only("pk").first()
    if version is None:
        raise VersionMissingError(rev=rev)
    return _with_warnings(version.pk)


# --- publishing ------------------------------------------------------------------------------


def _publish(*, principal: Principal, target: WorkflowTarget, rev: int) -> UUID:
    """Publish a version unless it is, and return its id."""
    workflow = Workflow.objects.select_for_update(no_key=True).get(pk=target.workflow_id)
    version = Version.objects.filter(workflow=workflow, rev=rev).first()
    if version is None:
        raise VersionMissingError(rev=rev)
    require(
        principal=principal,
        permission=Permission.PUBLISH_WORKFLOW,
        scope_id=target.scope_id,
        target=version,
    )
    if version.status == VersionStatus.PUBLISHED:
        return version.pk
    if version.status != VersionStatus.DRAFT:
        raise NotPublishableError(rev=rev, status=version.status)
    _check_again(version)
    now = read_database_clock()
    Version.objects.filter(pk=version.pk).update(
        status=VersionStatus.PUBLISHED, published_at=now, published_by_id=principal.user_id
    )
    draft = Draft(
        kind="version.published",
        at=now,
        origin=principal.origin,
        subject=f"version:{version.id}",
        scope=target.scope_id,
        version=bytes(version.digest).hex(),
        state_from=VersionStatus.DRAFT,
        state_to=VersionStatus.PUBLISHED,
        data={"rev": rev, "workflow": str(workflow.id)},
    )
    _append(workflow, draft)
    install(
        workflow_id=workflow.pk,
        project_id=target.project_id,
        version_id=version.pk,
        rev=rev,
        plan=plan_from_json(version.plan),
    )
    return version.pk


def _with_warnings(version_id: UUID) -> VersionView:
    """Return a version with what its publisher should know."""
    version = _versions().get(pk=version_id)
    plan = plan_from_json(version.plan)
    unknown = list_unknown_secrets(project_id=version.workflow.project_id, plan=plan)
    warnings = unknown + [
        warning
        for path, wait in list_waits(plan)
        for warning in registry.opener(wait.verb).list_obstacles(
            body=wait.body,
            path=path,
            scope_id=version.workflow.scope_id,
        )
    ]
    return replace(
        version_view(version),
        warnings=tuple(warnings[: limits.PROBLEM_COUNT_MAX]),
        replay=note_open_runs(version=version),
    )


# --- saving ----------------------------------------------------------------------------------


def _save(
    *,
    principal: Principal,
    project: ProjectTarget,
    plan: Plan,
    compilation: Compilation,
    source: str,
    message: str,
) -> VersionView:
    now = read_database_clock()
    workflow = _get_or_create_workflow(project=project, plan=plan, title=compilation.title, at=now)
    latest = Version.objects.filter(workflow=workflow).order_by("-rev").first()
    if latest is not None and bytes(latest.source_digest) == compilation.source_digest:
        return _view(latest.pk)
    rev = latest.rev + 1 if latest else 1
    version = Version.objects.create(
        workflow=workflow,
        rev=rev,
        label=f"1.{rev}.0",
        digest=plan_digest(plan),
        source_digest=compilation.source_digest,
        source=source,
        plan=plan_to_json(plan),
        inputs_schema=plan.inputs_schema,
        author_id=principal.user_id,
        message=message,
        created_at=now,
    )
    Workflow.objects.filter(pk=workflow.pk).update(title=compilation.title)
    draft = Draft(
        kind="version.saved",
        at=now,
        origin=principal.origin,
        subject=f"version:{version.id}",
        scope=workflow.scope_id,
        version=plan_digest(plan).hex(),
        state_to=VersionStatus.DRAFT,
        data={
            "rev": rev,
            "workflow": str(workflow.id),
            "source_digest": compilation.source_digest.hex(),
        },
        payloads={"definition": source, "message": message},
    )
    _append(workflow, draft)
    return _view(version.pk)


def _get_or_create_workflow(*, project: ProjectTarget, plan: Plan, title: str, at: Any) -> Workflow:
    """Return the workflow of a name, locked. Two first versions at once make one workflow."""
    with connection.cursor() as cursor:
        # The name, not a row, is what two creators have in common.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            (f"workflow:{project.project_id}:{plan.name}",),
        )
    known = Workflow.objects.select_for_update(no_key=True).filter(
        project_id=project.project_id, slug=plan.name
    )
    workflow = known.first()
    if workflow is not None:
        return workflow
    scope = create_scope(kind=ScopeKind.WORKFLOW, parent_id=project.scope_id)
    return Workflow.objects.create(
        project_id=project.project_id,
        scope=scope,
        slug=plan.name,
        title=title,
        created_at=at,
    )


def _require_some_edit(principal: Principal, *, project: ProjectTarget) -> None:
    """Refuse who may edit neither the project's workflows nor any single one of them."""
    scopes = list_scopes(principal=principal, permission=Permission.EDIT_WORKFLOW)
    if scopes.covers(scope_id=project.scope_id):
        return
    workflows = Workflow.objects.filter(project_id=project.project_id)
    if not workflows.filter(scope_id__in=list(scopes.scope_ids)).exists():
        require(principal=principal, permission=Permission.EDIT_WORKFLOW, scope_id=project.scope_id)


def _require_edit(
    principal: Principal, *, project: ProjectTarget, compilation: Compilation
) -> None:
    """Who may edit a whole project needs no more; others must be editors of this workflow."""
    scope_id = project.scope_id
    allowed = authorize(
        principal=principal, permission=Permission.EDIT_WORKFLOW, scope_id=scope_id
    ).allowed
    if not allowed and compilation.plan is not None:
        known = Workflow.objects.filter(
            project_id=project.project_id, slug=compilation.plan.name
        ).values_list("scope_id", flat=True)
        scope_id = known.first() or scope_id
    require(principal=principal, permission=Permission.EDIT_WORKFLOW, scope_id=scope_id)


# --- small parts -----------------------------------------------------------------------------


def compile_source(*, source: str | bytes) -> Compilation:
    """Return what becomes of a definition with what is installed here."""
    actions = [spec.info for spec in registry.actions().values()]
    return compile_flow(
        source,
        evaluator=loading.EVALUATOR,
        verbs=registry.verbs(),
        actions=actions,
        functions=list_functions(),
    )


def _check_again(version: Version) -> None:
    """Refuse to publish what compiled once but would not compile today."""
    compilation = compile_source(source=version.source)
    errors = [problem for problem in compilation.problems if problem.severity == "error"]
    if errors:
        raise DefinitionInvalidError(problems=errors)


def _append(workflow: Workflow, draft: Draft) -> None:
    """Append to the workflow's stream; its row is locked by this transaction."""
    head = StreamHead(stream=workflow.id, seq=workflow.seq, head=bytes(workflow.head))
    head, entries = extend(head=head, drafts=(draft,), salts=ids.salt)
    store.append_to_workflow(head=head, entries=entries)


def _view(version_id: UUID) -> VersionView:
    return version_view(_versions().get(pk=version_id))


def _versions() -> QuerySet[Version]:
    return Version.objects.select_related("workflow__project", "author", "published_by")

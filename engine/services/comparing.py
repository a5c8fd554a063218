"""Comparing a definition with a version of its workflow. Read `compare_definition`."""

from dataclasses import dataclass

from core.identity.domain.principal import Principal
from engine import registry
from engine.domain.comparing import Change, compare_plans
from engine.domain.errors import DefinitionInvalidError, WorkflowMissingError
from engine.domain.plan_json import plan_digest, plan_from_json
from engine.selectors.targets import get_project_target
from engine.selectors.workflows import VersionDetail, get_version, get_workflow
from engine.services.definitions import compile_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What would change. `base` is the version it was compared with, `None` for a new workflow.

    `digest_hex` and `source_digest_hex` are the definition's own, as a version of it would have.
    """

    workflow_slug: str
    base: VersionDetail | None
    digest_hex: str
    source_digest_hex: str
    changes: tuple[Change, ...] = ()


def compare_definition(
    *, principal: Principal, project_slug: str, source: str, rev: int | None = None
) -> Comparison:
    """Return what changed from a version to a definition, by step and by how much it matters.

    Without a `rev` it is compared with the newest version, published or not. Nothing is saved.

    Raises:
        ProjectMissingError, VersionMissingError: there is no such thing to be seen.
        DefinitionInvalidError: the definition has errors; `problems` lists them.
    """
    get_project_target(principal=principal, project_slug=project_slug)
    compilation = compile_source(source=source)
    plan = compilation.plan
    if plan is None or any(item.severity == "error" for item in compilation.problems):
        raise DefinitionInvalidError(problems=compilation.problems)
    base = _find_base(principal, project_slug=project_slug, slug=plan.name, rev=rev)
    changes: tuple[Change, ...] = ()
    if base is not None:
        before = plan_from_json(base.plan)
        changes = compare_plans(before, plan, comparers=registry.comparers())
    return Comparison(
        workflow_slug=plan.name,
        base=base,
        digest_hex=plan_digest(plan).hex(),
        source_digest_hex=compilation.source_digest.hex(),
        changes=changes,
    )


def _find_base(
    principal: Principal, *, project_slug: str, slug: str, rev: int | None
) -> VersionDetail | None:
    """Return the version to compare with; `None` if the workflow is not there to be seen."""
    try:
        workflow = get_workflow(principal=principal, project_slug=project_slug, workflow_slug=slug)
    except WorkflowMissingError:
        return None
    return get_version(
        principal=principal,
        project_slug=project_slug,
        workflow_slug=slug,
        rev=workflow.latest_rev if rev is None else rev,
    )

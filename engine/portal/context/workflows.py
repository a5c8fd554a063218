"""The pages of workflows. Read `make_workflows` first."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.urls import reverse

from core.identity.domain.permissions import Permission
from core.kernel.types import Json
from core.toolkit.portal.address import Query
from core.toolkit.portal.words import say_count
from engine.domain.flow.loader import load
from engine.models import VersionStatus
from engine.portal.context.drawing import Drawing, View, draw, node_id
from engine.portal.context.flow_control import PauseContext, make_pauses
from engine.portal.context.inputs import order_inputs
from engine.portal.context.plan_graph import graph_of_plan, pointer_of
from engine.portal.context.trigger import TriggerRow, make_trigger_rows
from engine.portal.context.triggers import can_people_start, list_triggers
from engine.portal.paging import PAGE_COUNT
from engine.portal.statuses import Chip, describe_run, say_template
from engine.selectors.access_table import ACCESS_SHOWN, AccessGrant
from engine.selectors.workflow_pages import (
    LastRun,
    VersionPage,
    WorkflowListing,
    WorkflowPage,
)
from engine.selectors.workflows import VersionView

_VERSION_CHIPS: Final = {
    VersionStatus.DRAFT: Chip(mark="pending", word="Draft"),
    VersionStatus.PUBLISHED: Chip(mark="approved", word="Published"),
    VersionStatus.RETIRED: Chip(mark="skipped", word="Retired"),
}
_MAY: Final = {
    Permission.TRIGGER_WORKFLOW: "Start runs",
    Permission.EDIT_WORKFLOW: "Save versions",
    Permission.PUBLISH_WORKFLOW: "Publish versions",
    Permission.OPERATE_RUN: "Cancel runs",
    Permission.EXECUTE_TASK: "Do external tasks",
    Permission.DECIDE_REQUEST: "Decide, where they are asked",
    Permission.VIEW_WORKFLOW: "See it",
}
_PLACES: Final = {"global": "everywhere", "project": "in this project", "workflow": "here"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StripMark:
    """One of the last runs."""

    href: str
    mark: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRow:
    """A workflow in the list."""

    id: UUID
    href: str
    start_href: str
    slug: str
    title: str
    project: str
    live: str
    strip: tuple[StripMark, ...]
    open_run_count: int
    open_href: str
    waiting_count: int
    change: str
    changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """A version in the list. `is_live`: new runs use it."""

    rev: int
    href: str
    label: str
    chip: Chip
    is_live: bool
    author: str
    created_at: datetime
    message: str
    published_at: datetime | None
    published_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowContext:
    """A workflow with its versions."""

    title: str
    slug: str
    project: str
    live: str
    start_href: str
    may_start: bool
    runs_href: str
    strip: tuple[StripMark, ...]
    open_runs: str
    triggers: tuple[TriggerRow, ...]
    rows: tuple[VersionRow, ...]
    older_href: str
    newest_href: str
    pauses: PauseContext


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A line of a definition."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRow:
    """An input a run takes. `rule` is what its schema says beyond the type."""

    name: str
    type: str
    is_needed: bool
    default: str
    about: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessHolder:
    """Somebody who may do something, and why."""

    name: str
    kind: str
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRow:
    """What may be done, and by whom. `is_open`: the list is in view at once."""

    may: str
    holders: tuple[AccessHolder, ...]
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionContext:
    """A version with its content."""

    row: VersionRow
    workflow: str
    project: str
    workflow_href: str
    start_href: str
    may_start: bool
    triggers: tuple[str, ...]
    may_publish: bool
    move_href: str
    digest_hex: str
    source_digest_hex: str
    drawing: Drawing
    is_whole: bool
    whole_href: str
    fold_href: str
    lines: tuple[SourceLine, ...]
    inputs: tuple[InputRow, ...]
    access: tuple[AccessRow, ...]


def make_workflows(
    listings: Sequence[WorkflowListing], *, waiting: Mapping[UUID, int]
) -> tuple[WorkflowRow, ...]:
    """Return the rows of the list; `waiting` says how many decisions are waited for."""
    return tuple(_workflow_row(item, waiting=waiting.get(item.workflow.id, 0)) for item in listings)


def make_workflow(page: WorkflowPage, *, query: Query) -> WorkflowContext:
    """Return a workflow with its versions; one more than are shown tells that others follow."""
    flow = page.workflow
    shown = page.versions[:PAGE_COUNT]
    has_more = len(page.versions) > PAGE_COUNT
    return WorkflowContext(
        title=say_template(flow.title),
        slug=flow.slug,
        project=flow.project_slug,
        live="" if flow.published_rev is None else f"v{flow.published_rev}",
        start_href=_start_href(flow.project_slug, flow.slug),
        may_start=page.may_start and flow.published_rev is not None,
        runs_href=_runs_href(flow.project_slug, flow.slug),
        strip=_strip(page.runs),
        open_runs=say_count(flow.open_run_count, "open run"),
        triggers=make_trigger_rows(page.triggers),
        rows=tuple(version_row(item, live_rev=flow.published_rev) for item in shown),
        older_href=query.change(before=shown[-1].rev) if has_more else "",
        newest_href=query.change(before="") if query.get("before") else "",
        pauses=make_pauses(page.pauses, project=flow.project_slug, slug=flow.slug),
    )


def make_version(page: VersionPage, *, query: Query) -> VersionContext:
    """Return a version with its content."""
    view, source = page.detail.version, page.detail.source
    places = load(source).places if source else None
    place = (view.project_slug, view.workflow_slug)

    def link_step(key: str) -> str:
        if places is None:
            return f"#{node_id(key)}"
        return f"#L{places.find(pointer_of(page.plan, key), key=True)[0]}"

    graph = graph_of_plan(page.plan)
    return VersionContext(
        row=version_row(view, live_rev=page.live_rev),
        workflow=view.workflow_slug,
        project=view.project_slug,
        workflow_href=reverse("engine_portal:workflow", args=place),
        start_href=_start_href(*place),
        may_start=page.may_start and page.live_rev == view.rev and can_people_start(page.plan),
        triggers=list_triggers(page.plan),
        may_publish=page.may_publish and view.status == VersionStatus.DRAFT,
        move_href=reverse("engine_portal:move", args=(*place, view.rev))
        if page.may_move and view.status == VersionStatus.PUBLISHED
        else "",
        digest_hex=view.digest_hex,
        source_digest_hex=view.source_digest_hex,
        drawing=draw(
            graph.steps,
            View(
                chosen="",
                opened=frozenset({query.get("open")} - {""}),
                is_whole=query.get("fold") == "none",
                only="",
                link_step=link_step,
                link_group=lambda key: query.change(open=key),
            ),
            links=graph.links,
        ),
        is_whole=query.get("fold") == "none",
        whole_href=query.change(fold="none", open=""),
        fold_href=query.change(fold="", open=""),
        lines=tuple(
            SourceLine(number=number, text=text)
            for number, text in enumerate(source.splitlines(), start=1)
        ),
        inputs=tuple(_inputs(order_inputs(page.detail.inputs_schema, source=source))),
        access=make_access(page.access),
    )


def make_access(
    grants: Iterable[AccessGrant], *, shown: Sequence[Permission] = ACCESS_SHOWN
) -> tuple[AccessRow, ...]:
    """Return who may do what, one row for each thing that may be done."""
    held: dict[tuple[str, str, str], list[AccessGrant]] = {}
    for grant in grants:
        held.setdefault((grant.permission, grant.name, grant.kind), []).append(grant)
    holders: dict[str, list[AccessHolder]] = {}
    for (permission, name, kind), own in held.items():
        ends = [grant.expires_at for grant in own]
        holder = AccessHolder(
            name=name,
            kind=kind,
            why=", ".join(f"{item.role} {_PLACES.get(item.place, '')}".strip() for item in own),
            until=None if None in ends else max(end for end in ends if end),
        )
        holders.setdefault(permission, []).append(holder)
    return tuple(
        AccessRow(
            may=_MAY.get(permission, permission.value),
            holders=tuple(holders.get(permission.value, ())),
            is_open=permission is not Permission.VIEW_WORKFLOW,
        )
        for permission in shown
    )


def version_row(view: VersionView, *, live_rev: int | None) -> VersionRow:
    """Return a version as lists show it."""
    return VersionRow(
        rev=view.rev,
        href=reverse(
            "engine_portal:version", args=(view.project_slug, view.workflow_slug, view.rev)
        ),
        label=view.label,
        chip=_VERSION_CHIPS[VersionStatus(view.status)],
        is_live=view.rev == live_rev,
        author=view.author,
        created_at=view.created_at,
        message=view.message,
        published_at=view.published_at,
        published_by=view.published_by or "",
    )


def _workflow_row(item: WorkflowListing, *, waiting: int) -> WorkflowRow:
    flow, change = item.workflow, item.change
    return WorkflowRow(
        id=flow.id,
        href=reverse("engine_portal:workflow", args=(flow.project_slug, flow.slug)),
        start_href=_start_href(flow.project_slug, flow.slug) if item.may_start else "",
        slug=flow.slug,
        title=say_template(flow.title),
        project=flow.project_slug,
        live="" if flow.published_rev is None else f"v{flow.published_rev}",
        strip=_strip(item.runs),
        open_run_count=flow.open_run_count,
        open_href=f"{_runs_href(flow.project_slug, flow.slug)}&state=open",
        waiting_count=waiting,
        change=f"v{change.rev} by {change.author}" if change else "",
        changed_at=change.at if change else None,
    )


def _strip(runs: Iterable[LastRun]) -> tuple[StripMark, ...]:
    marks = []
    for run in runs:
        chip = describe_run(status=run.status, outcome=run.outcome, waiting_count=None, now=run.at)
        marks.append(
            StripMark(
                href=reverse("engine_portal:run", args=(run.id,)),
                mark=chip.mark,
                label=f"{chip.word}: {run.number}, {run.title}",
            )
        )
    return tuple(marks)


def _start_href(project: str, slug: str) -> str:
    return reverse("engine_portal:start", args=(project, slug))


def _runs_href(project: str, slug: str) -> str:
    return reverse("engine_portal:runs") + Query().change(project=project, workflow=slug)


def _inputs(schema: Mapping[str, Json]) -> Iterable[InputRow]:
    properties, needed = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return
    for name, part in properties.items():
        facts = part if isinstance(part, dict) else {}
        rules = {key: facts[key] for key in facts if key not in _INPUT_KEYS}
        yield InputRow(
            name=name,
            type=_type_of(facts),
            is_needed=isinstance(needed, list) and name in needed,
            default=_say_json(facts["default"]) if "default" in facts else "",
            about=str(facts.get("description") or facts.get("title") or ""),
            rule=", ".join(f"{key} {_say_json(value)}" for key, value in rules.items()),
        )


_INPUT_KEYS: Final = frozenset({"type", "default", "description", "title", "enum", "const"})


def _type_of(facts: Mapping[str, Json]) -> str:
    choices = facts.get("enum")
    if isinstance(choices, list):
        return "one of " + ", ".join(_say_json(item) for item in choices)
    kind = facts.get("type", "any")
    return " or ".join(str(item) for item in kind) if isinstance(kind, list) else str(kind)


def _say_json(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

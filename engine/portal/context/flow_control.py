"""Pauses and quotas in the portal's words. Read `make_project` and `make_banner`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from engine.flow_control.pauses import Paused
from engine.selectors.flow_control import Pauses, ProjectFlow


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """What keeps runs from beginning: `title`, who said so and why."""

    title: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseContext:
    """The banners of a workflow, and where it is paused or resumed ("" if it may not be)."""

    banners: tuple[Banner, ...]
    pause_href: str
    resume_href: str
    project_href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRow:
    """One bound of a project. `own` is what stands in its field, `error` what is wrong there."""

    name: str
    title: str
    used: str
    bound: str
    own: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectContext:
    """The page of a project."""

    slug: str
    banner: Banner | None
    rows: tuple[QuotaRow, ...]
    may_change: bool
    pause_href: str
    resume_href: str
    workflows_href: str


def make_pauses(found: Pauses, *, project: str, slug: str) -> PauseContext:
    """Return what a workflow's page shows of its pauses."""
    banners = []
    if found.project is not None:
        banners.append(make_banner(found.project, what="The whole project"))
    if found.workflow is not None:
        banners.append(make_banner(found.workflow, what="This workflow"))
    place = (project, slug)
    is_own = found.workflow is not None
    may = found.may_pause
    return PauseContext(
        banners=tuple(banners),
        pause_href=_href("pause", *place) if may and not is_own else "",
        resume_href=_href("resume", *place) if may and is_own else "",
        project_href=reverse("engine_portal:project", args=(project,)),
    )


def make_banner(paused: Paused, *, what: str) -> Banner:
    """Return a pause in words."""
    return Banner(
        title=f"{what} is paused: no run begins",
        reason=paused.reason,
        by=paused.paused_by,
        at=paused.paused_at,
    )


def make_project(
    flow: ProjectFlow, *, typed: Mapping[str, str], wrong: Collection[str]
) -> ProjectContext:
    """Return the page of a project; `typed` is what was sent, `wrong` names what cannot be."""
    bounds, use = flow.limits, flow.use
    rows = (
        ("open_runs", "Open runs", bounds.open_run_count_max, use.open_run_count),
        ("starts_per_hour", "Starts this hour", bounds.hour_start_count_max, use.hour_start_count),
        ("starts_per_day", "Starts today (UTC)", bounds.day_start_count_max, use.day_start_count),
    )
    href = {
        verb: reverse(f"engine_portal:project_{verb}", args=(flow.project_slug,))
        for verb in ("pause", "resume")
    }
    return ProjectContext(
        slug=flow.project_slug,
        banner=make_banner(flow.paused, what="The project") if flow.paused else None,
        rows=tuple(
            QuotaRow(
                name=name,
                title=title,
                used=_say_used(name, limit=limit, used=used),
                bound=str(limit) if limit else "no bound",
                own=typed.get(name, "" if own is None else str(own)),
                error="A whole number, or nothing." if name in wrong else "",
            )
            for (name, title, limit, used), own in zip(rows, flow.own, strict=True)
        ),
        may_change=flow.may_change,
        pause_href=href["pause"] if flow.may_pause and not flow.paused else "",
        resume_href=href["resume"] if flow.may_pause and flow.paused else "",
        workflows_href=f"{reverse('engine_portal:workflows')}?project={flow.project_slug}",
    )


def _href(verb: str, project: str, slug: str) -> str:
    return reverse(f"engine_portal:{verb}", args=(project, slug))


def _say_used(name: str, *, limit: int, used: int) -> str:
    if name != "open_runs" and not limit:
        return "not counted"
    return str(used)

"""The pages of runs and workflows. Read `RunView` first.

A view asks a selector once, or a service, and translates the answer; what may be done is decided
there. Nonsense in a query shows the page without it, because addresses are typed and old.
"""

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.kernel import ids, limits
from core.kernel.errors import (
    ConflictError,
    InvalidError,
    PlatformError,
    ThrottledError,
    TooLargeError,
)
from core.toolkit.portal.address import Query
from core.toolkit.portal.schema_form import SchemaForm, build_form
from core.toolkit.portal.views import PortalView
from engine.domain.errors import (
    DefinitionInvalidError,
    KeyReusedError,
    MomentMissingError,
    NotPublishableError,
    ReasonTooLongError,
    VersionMissingError,
)
from engine.domain.state import RunStatus
from engine.portal import panels
from engine.portal.context.inputs import order_inputs
from engine.portal.context.preview import Preview, make_preview
from engine.portal.context.run import keys_by_verb, make_past_run, make_run
from engine.portal.context.runs import make_runs, read_filters
from engine.portal.context.workflows import (
    make_access,
    make_version,
    make_workflow,
    make_workflows,
)
from engine.portal.naming import long_key
from engine.portal.paging import PAGE_COUNT, read_cursor, read_moment
from engine.portal.statuses import say_template
from engine.selectors import past_pages, run_pages, workflow_pages
from engine.selectors.secrets import can_list_secrets
from engine.selectors.started import StartedRun
from engine.selectors.workflow_pages import StartPage
from engine.services import definitions, runs

_PREVIEW: Final = "preview"  # in the address of a version
_NUMBER_MAX: Final = 2**31 - 1
_OTHER_VERSION: Final = "Version {rev} is live now, not the one you saw. Look again, then start."
_USED_KEY: Final = "This form has started a run already. Look at it first; or start another one."


class RunsView(PortalView):
    """The list of runs."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the runs the reader may see, newest first."""
        query = _read_query(request)
        filters, unknown = read_filters(query)
        page = run_pages.list_run_rows(
            principal=self.principal,
            filters=filters,
            after=read_cursor(query.get("after")),
            limit=PAGE_COUNT + 1,
        )
        waiting = panels.count_by_run(
            principal=self.principal,
            run_ids=[run.id for run in page.runs if run.status != RunStatus.CLOSED],
        )
        context = make_runs(page, query=query, unknown=unknown, waiting=waiting)
        return self.render("engine/runs.html", {"place": "runs", "runs": context})


class RunView(PortalView):
    """One run."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Return a run: its graph, the chosen step, and one of its tabs; or as it was."""
        query = _read_query(request)
        if query.get("at"):
            answer = self._show_past(run_id, query)
            if answer is not None:
                return answer
        page = run_pages.get_run_page(
            principal=self.principal,
            run_id=run_id,
            event_seq=_read_number(query.get("event")),
            event_before=_read_number(query.get("before")),
            keep=long_key(query.get("step")),
        )
        found = panels.find_panels(
            principal=self.principal, run_id=run_id, keys_by_verb=keys_by_verb(page)
        )
        context = make_run(page, panels=found, query=query)
        return self.render("engine/run.html", {"place": "runs", "run": context})

    def _show_past(self, run_id: UUID, query: Query) -> HttpResponse | None:
        """Return the run as it was; `None` if the address names no past of it."""
        moment = read_moment(query.get("at"))
        if moment is None:
            return None
        try:
            found = past_pages.get_past_page(
                principal=self.principal,
                run_id=run_id,
                moment=moment,
                event_seq=_read_number(query.get("event")),
                event_before=_read_number(query.get("before")),
                keep=long_key(query.get("step")),
            )
        except MomentMissingError:
            return None
        asked = panels.find_past_panels(
            principal=self.principal,
            run_id=run_id,
            keys_by_verb=keys_by_verb(found.page),
            at=found.past.at,
        )
        context = make_past_run(found, panels=asked, query=query)
        return self.render("engine/run.html", {"place": "runs", "run": context})


class CancelView(PortalView):
    """Cancelling a run."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Ask for the reason; who may not cancel reads who may."""
        reason = self.carried.get("reason", "") if self.carried is not None else ""
        return self._ask(run_id, reason=reason)

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Cancel the run and go back to it."""
        reason = request.POST.get("reason", "")
        if not reason.strip():
            return self._ask(run_id, reason=reason, error="Say why, for whoever reads the record.")
        try:
            runs.cancel_run(
                principal=self.principal,
                run_id=run_id,
                reason=reason.strip(),
                compensate="compensate" in request.POST,
            )
        except (ReasonTooLongError, ConflictError) as error:
            return self._ask(run_id, reason=reason, error=error.message)
        except AccessForbiddenError:
            return self._ask(run_id, reason=reason)
        return self.go_to(reverse("engine_portal:run", args=(run_id,)))

    def _ask(self, run_id: UUID, *, reason: str, error: str = "") -> HttpResponse:
        page = run_pages.get_cancel_page(principal=self.principal, run_id=run_id)
        if not page.may_operate:
            access = make_access(page.operators, shown=[Permission.OPERATE_RUN])
            return self.render(
                "engine/refused.html",
                {
                    "place": "runs",
                    "what": "cancel this run",
                    "row": access[0],
                    "back": reverse("engine_portal:run", args=(run_id,)),
                },
                status=403,
            )
        context = {
            "place": "runs",
            "run_id": run_id,
            "page": page,
            "is_closed": page.status == RunStatus.CLOSED,
            "is_halted": page.status == RunStatus.HALTED,
            "compensates": "compensate" in self.request.POST,
            "reason": reason,
            "error": error,
            "reason_chars_max": limits.REASON_CHARS_MAX,
        }
        return self.render("engine/run_cancel.html", context, status=422 if error else 200)


class WorkflowsView(PortalView):
    """The list of workflows."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the workflows the reader may see, newest first."""
        query = _read_query(request)
        listings = workflow_pages.list_workflow_rows(
            principal=self.principal,
            project_slug=query.get("project") or None,
            after=read_cursor(query.get("after")),
            limit=PAGE_COUNT + 1,
        )
        waiting = panels.count_by_workflow(
            principal=self.principal, workflow_ids=[item.workflow.id for item in listings]
        )
        rows = make_workflows(listings, waiting=waiting)
        shown = rows[:PAGE_COUNT]
        context = {
            "place": "workflows",
            "rows": shown,
            "project": query.get("project")[: limits.SLUG_CHARS_MAX],
            "older_href": query.change(after=shown[-1].id) if len(rows) > PAGE_COUNT else "",
            "newest_href": query.change(after="") if query.get("after") else "",
        }
        return self.render("engine/workflows.html", context)


class WorkflowView(PortalView):
    """One workflow with its versions."""

    def get(self, request: HttpRequest, project: str, slug: str) -> HttpResponse:
        """Return the versions, newest first."""
        query = _read_query(request)
        page = workflow_pages.get_workflow_page(
            principal=self.principal,
            project_slug=project,
            workflow_slug=slug,
            before_rev=_read_number(query.get("before")),
            limit=PAGE_COUNT + 1,
        )
        context = make_workflow(page, query=query)
        sees_secrets = can_list_secrets(principal=self.principal, project_slug=project)
        shown = {"place": "workflows", "workflow": context, "sees_secrets": sees_secrets}
        return self.render("engine/workflow.html", shown)


class VersionView(PortalView):
    """One version of a workflow."""

    def get(self, request: HttpRequest, project: str, slug: str, rev: int) -> HttpResponse:
        """Return the version: its source, its graph, its inputs, and who may do what."""
        return self._show(project, slug, rev)

    def post(self, request: HttpRequest, project: str, slug: str, rev: int) -> HttpResponse:
        """Publish the version."""
        try:
            definitions.publish_version(
                principal=self.principal,
                project_slug=project,
                workflow_slug=slug,
                rev=rev,
                with_notes=False,
            )
        except NotPublishableError as error:
            return self._show(project, slug, rev, refused=error)
        except DefinitionInvalidError as error:
            return self._show(project, slug, rev, refused=error)
        address = reverse("engine_portal:version", args=(project, slug, rev))
        return self.go_to(f"{address}?{_PREVIEW}=1")

    def _show(
        self, project: str, slug: str, rev: int, *, refused: PlatformError | None = None
    ) -> HttpResponse:
        if rev > _NUMBER_MAX:
            raise VersionMissingError(rev=rev)
        page = workflow_pages.get_version_page(
            principal=self.principal, project_slug=project, workflow_slug=slug, rev=rev
        )
        query = _read_query(self.request)
        context = {
            "place": "workflows",
            "version": make_version(page, query=query),
            "preview": self._preview(project, slug, rev) if query.get(_PREVIEW) else None,
            "preview_href": query.change(**{_PREVIEW: 1}),
            "refused": refused,
        }
        return self.render("engine/version.html", context, status=422 if refused else 200)

    def _preview(self, project: str, slug: str, rev: int) -> Preview | None:
        """Return what publishing says of the version, `None` for who may not publish."""
        try:
            version = definitions.preview_version(
                principal=self.principal, project_slug=project, workflow_slug=slug, rev=rev
            )
        except AccessForbiddenError:
            return None
        return make_preview(version)


class StartView(PortalView):
    """Starting a run."""

    throttle_scope = "start"

    def get(self, request: HttpRequest, project: str, slug: str) -> HttpResponse:
        """Return the form; who may not start reads who may."""
        page = self._read(project, slug)
        if not page.may_start:
            return self._refuse(page)
        form = build_form(_schema_of(page), data=self.carried, initial=page.inputs)
        key = self.carried.get("key", "") if self.carried is not None else ""
        return self._ask(page, form, key=key or str(ids.uuid7()))

    def post(self, request: HttpRequest, project: str, slug: str) -> HttpResponse:
        """Start the run and go to it; what is wrong with the inputs stands at the fields."""
        page = self._read(project, slug)
        if not page.may_start:
            return self._refuse(page)
        form = build_form(_schema_of(page), data=request.POST)
        key = request.POST.get("key", "")
        if request.POST.get("rev") != str(page.rev):
            form.add_error(None, _OTHER_VERSION.format(rev=page.rev))
            return self._ask(page, form, key=key, status=409)
        if form.is_valid():
            try:
                started = self._start(page, form, key=key)
            except KeyReusedError:
                form.add_error(None, _USED_KEY)
                key = str(ids.uuid7())
            except (InvalidError, TooLargeError, ConflictError, ThrottledError) as error:
                form.add_problems(error.problems, under="")
                if not form.errors:
                    form.add_error(None, error.message)
            else:
                return self.go_to(reverse("engine_portal:run", args=(started.run_id,)))
        return self._ask(page, form, key=key, status=422)

    def _start(self, page: StartPage, form: SchemaForm, *, key: str) -> StartedRun:
        return runs.start_run(
            principal=self.principal,
            project_slug=page.workflow.project_slug,
            workflow_slug=page.workflow.slug,
            inputs=form.to_values(),
            idempotency_key=key,
            rev=page.rev,
        )

    def _read(self, project: str, slug: str) -> StartPage:
        return workflow_pages.get_start_page(
            principal=self.principal,
            project_slug=project,
            workflow_slug=slug,
            again=read_cursor(self.request.GET.get("from", "")),
        )

    def _ask(
        self, page: StartPage, form: SchemaForm, *, key: str, status: int = 200
    ) -> HttpResponse:
        context = {
            "place": "workflows",
            "workflow": page.workflow,
            "title": say_template(page.workflow.title),
            "rev": page.rev,
            "form": form,
            "key": key[: limits.IDEMPOTENCY_KEY_CHARS_MAX],
            "is_again": bool(page.inputs),
            "error_count": sum(len(errors) for errors in form.errors.values()),
        }
        return self.render("engine/start.html", context, status=status)

    def _refuse(self, page: StartPage) -> HttpResponse:
        flow = page.workflow
        access = make_access(page.starters, shown=[Permission.TRIGGER_WORKFLOW])
        context = {
            "place": "workflows",
            "what": f"start {flow.slug}",
            "row": access[0],
            "back": reverse("engine_portal:workflow", args=(flow.project_slug, flow.slug)),
        }
        return self.render("engine/refused.html", context, status=403)


def _schema_of(page: StartPage) -> dict[str, Any]:
    return order_inputs(page.inputs_schema, source=page.source)


def _read_query(request: HttpRequest) -> Query:
    """Return the query of an address, the last value of each name."""
    return Query(values={name: str(request.GET[name]) for name in request.GET})


def _read_number(text: str) -> int | None:
    """Return a number from 1 that fits the database, `None` for nonsense."""
    if not (text.isascii() and text.isdigit() and len(text) < len(str(_NUMBER_MAX))):
        return None
    return int(text) or None

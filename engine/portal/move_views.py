"""The page on which open runs are moved to a version. Read `MoveView`."""

from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.kernel import limits
from core.kernel.errors import ConflictError, InvalidError
from core.toolkit.portal.views import PortalView
from engine.domain.errors import VersionMissingError
from engine.portal.context.workflows import make_access
from engine.portal.naming import Titles
from engine.selectors import move_pages
from engine.selectors.move_pages import MovePage
from engine.services import migrating
from engine.services.migrating import Migration, MigrationReport

_NUMBER_MAX: Final = 2**31 - 1


class MoveView(PortalView):
    """Moving open runs to a published version."""

    throttle_scope = "start"

    def get(self, request: HttpRequest, project: str, slug: str, rev: int) -> HttpResponse:
        """Show which runs would move and what keeps the others; who may not reads who may."""
        carried = self.carried
        chosen = carried.get("from", "") if carried is not None else request.GET.get("from", "")
        reason = carried.get("reason", "") if carried is not None else ""
        after = _read_uuid(request.GET.get("after", ""))
        return self._ask(self._read(project, slug, rev), chosen=chosen, reason=reason, after=after)

    def post(self, request: HttpRequest, project: str, slug: str, rev: int) -> HttpResponse:
        """Move the runs that were shown, as far as they may, and tell what became of each."""
        page = self._read(project, slug, rev)
        chosen, reason = request.POST.get("from", ""), request.POST.get("reason", "")
        after = _read_uuid(request.POST.get("after", ""))
        if page.missing is not None:
            return self._refuse(page, page.missing)
        from_rev = _choose(page, chosen)
        if from_rev is None:
            return self._ask(page, chosen="", reason=reason, after=None)
        try:
            report = migrating.migrate_runs(
                principal=self.principal,
                project_slug=project,
                workflow_slug=slug,
                migration=Migration(from_rev=from_rev, to_rev=rev, after=after),
                reason=reason.strip(),
            )
        except (InvalidError, ConflictError) as error:
            return self._ask(page, chosen=chosen, reason=reason, after=after, error=error.message)
        except AccessForbiddenError:
            return self._ask(self._read(project, slug, rev), chosen=chosen, reason=reason)
        return self._render(page, from_rev, report, is_done=True)

    def _read(self, project: str, slug: str, rev: int) -> MovePage:
        if rev > _NUMBER_MAX:
            raise VersionMissingError(rev=rev)
        return move_pages.get_move_page(
            principal=self.principal, project_slug=project, workflow_slug=slug, rev=rev
        )

    def _ask(
        self,
        page: MovePage,
        *,
        chosen: str,
        reason: str,
        after: UUID | None = None,
        error: str = "",
    ) -> HttpResponse:
        if page.missing is not None:
            return self._refuse(page, page.missing)
        from_rev = _choose(page, chosen)
        report = MigrationReport(runs=(), after=None)
        if from_rev is not None:
            report = migrating.foresee_migration(
                principal=self.principal,
                project_slug=page.project_slug,
                workflow_slug=page.workflow_slug,
                migration=Migration(from_rev=from_rev, to_rev=page.rev, after=after),
            )
        return self._render(
            page, from_rev, report, is_done=False, reason=reason, error=error, after=after
        )

    def _render(
        self,
        page: MovePage,
        from_rev: int | None,
        report: MigrationReport,
        *,
        is_done: bool,
        reason: str = "",
        error: str = "",
        after: UUID | None = None,
    ) -> HttpResponse:
        titles = Titles()
        rows = [
            {
                "run": item,
                "reset": [titles.of(key) for key in item.reset],
                "obstacles": [
                    {"about": titles.of(found.key) if found.key else "", "message": found.message}
                    for found in item.obstacles
                ],
            }
            for item in report.runs
        ]
        context = {
            "place": "workflows",
            "page": page,
            "from_rev": from_rev,
            "rows": rows,
            "free_count": sum(not item.obstacles for item in report.runs),
            "after": after or "",
            "next": report.after or "",
            "is_done": is_done,
            "reason": reason,
            "error": error,
            "reason_chars_max": limits.REASON_CHARS_MAX,
        }
        return self.render("engine/version_move.html", context, status=422 if error else 200)

    def _refuse(self, page: MovePage, missing: Permission) -> HttpResponse:
        access = make_access(page.holders, shown=[missing])
        place = (page.project_slug, page.workflow_slug, page.rev)
        context = {
            "place": "workflows",
            "what": "move runs to this version",
            "row": access[0],
            "back": reverse("engine_portal:version", args=place),
        }
        return self.render("engine/refused.html", context, status=403)


def _choose(page: MovePage, text: str) -> int | None:
    """Return the version whose runs are meant: the newest that has any, if none is named."""
    if not text:
        return page.from_revs[0] if page.from_revs else None
    return next((rev for rev in page.from_revs if str(rev) == text), None)


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

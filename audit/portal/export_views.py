"""The pages of exports. Read `ExportsView`."""

from collections.abc import Mapping
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from audit.domain.exporting import ExportFormat, ExportKind, Period, Wish
from audit.portal.context.exports import make_exports
from audit.portal.filters import read_instant
from audit.selectors.exports import list_exports
from audit.services.exports import cancel_export, request_export
from core.kernel.errors import ConflictError, ForbiddenError, InvalidError, MissingError
from core.toolkit.portal.views import PortalView

_PAGE_COUNT = 50
_KEY_CHARS_MAX = 100


class ExportsView(PortalView):
    """Exports: asking for one, and how far those are that were asked for."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the form and the list; the address may say what to begin the form with."""
        typed = self.carried if self.carried is not None else request.GET
        return self._show(typed.dict(), errors={})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Ask for an export, or say in place what is wrong with the form."""
        typed = request.POST.dict()
        errors: dict[str, str] = {}
        wish = _read_wish(typed, errors)
        if wish is not None:
            try:
                request_export(
                    principal=self.principal,
                    wish=wish,
                    idempotency_key=request.POST.get("key", "")[:_KEY_CHARS_MAX],
                )
            except InvalidError as error:
                errors = {item.path.strip("/"): item.message for item in error.problems}
                errors = errors or {"": error.message}
            except MissingError as error:
                errors["project" if wish.kind is ExportKind.PROJECT else "run_id"] = error.message
            except (ConflictError, ForbiddenError) as error:
                errors[""] = error.message
        if errors or wish is None:
            return self._show(typed, errors=errors, status=422)
        return self.go_to(reverse("audit_portal:exports"))

    def _show(
        self, typed: Mapping[str, object], *, errors: Mapping[str, str], status: int = 200
    ) -> HttpResponse:
        after = _read_id(self.request.GET.get("after", ""))
        found = list_exports(principal=self.principal, after=after, limit=_PAGE_COUNT + 1)
        older = f"?after={found[_PAGE_COUNT - 1].id}" if len(found) > _PAGE_COUNT else ""
        page = make_exports(found[:_PAGE_COUNT], typed=typed, errors=errors, older_href=older)
        return self.render("audit/exports.html", {"place": "ledger", "page": page}, status=status)


class CancelExportView(PortalView):
    """Ending an export that is under way."""

    def post(self, request: HttpRequest, export_id: UUID) -> HttpResponse:
        """End it and go back to the list."""
        cancel_export(principal=self.principal, export_id=export_id)
        return self.go_to(reverse("audit_portal:exports"))


def _read_wish(typed: Mapping[str, str], errors: dict[str, str]) -> Wish | None:
    """Return what the form asks for; fields that its kind does not take are left out."""
    try:
        kind, format_ = ExportKind(typed.get("kind", "")), ExportFormat(typed.get("format", ""))
    except ValueError:
        errors[""] = "Choose what is exported, and how."
        return None
    run_id = None
    if kind is ExportKind.RUN:
        run_id = _read_id(typed.get("run_id", "").strip())
        if run_id is None:
            errors["run_id"] = "Write the run's id, as its page's address has it."
    period = None
    if kind in {ExportKind.PERIOD, ExportKind.PROJECT}:
        period = _read_period(typed, errors, is_needed=kind is ExportKind.PERIOD)
    if errors:
        return None
    project = typed.get("project", "").strip() if kind is ExportKind.PROJECT else ""
    return Wish(kind=kind, format=format_, run_id=run_id, project=project, period=period)


def _read_period(
    typed: Mapping[str, str], errors: dict[str, str], *, is_needed: bool
) -> Period | None:
    given = {name: typed.get(name, "").strip() for name in ("since", "until")}
    if not is_needed and not any(given.values()):
        return None
    ends = {}
    for name, text in given.items():
        problems: list[str] = []
        found = read_instant(text, problems)
        if found is None:
            errors[name] = problems[0] if problems else "A period has both ends."
        else:
            ends[name] = found
    return None if errors else Period(since=ends["since"], until=ends["until"])


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text.removeprefix("run:"))
    except ValueError:
        return None

"""The pages of compliance reports. Read `ReportView`."""

import json
from datetime import UTC, datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime

from audit.domain.errors import PeriodInvalidError, ReportTooLargeError
from audit.domain.report_document import write_lines
from audit.portal.context.report import make_report_context
from audit.portal.context.report_parts import list_presets
from audit.selectors.report import Period, can_report_everything, list_projects
from audit.services.reporting import MadeReport, make_report
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.portal.address import Query
from core.toolkit.portal.views import PortalView

_CSV: Final = "text/csv; charset=utf-8"
_JSON: Final = "application/json"


class ReportView(PortalView):
    """A compliance report: what to report on, then the report. Making one is on record."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the form, or the report of the period in the address, or why there is none."""
        query = Query(values=request.GET.dict())
        if not (query.get("since") or query.get("until")):
            return self._ask(query)
        since, until = _read_day(query.get("since")), _read_day(query.get("until"))
        if since is None or until is None:
            return self._ask(query, problem="Write both ends as days: 2026-03-01.")
        period = Period(
            since=since,
            until=until,
            project_slug=query.get("project")[: limits.SLUG_CHARS_MAX],
        )
        try:
            made = make_report(principal=self.principal, period=period)
        except (PeriodInvalidError, ReportTooLargeError) as error:
            return self._ask(query, problem=error.message)
        if query.get("form") in {"csv", "json"}:
            return _download(made, form=query.get("form"))
        context = make_report_context(made, query=query)
        return self.render("audit/report.html", {"place": "ledger", "report": context})

    def _ask(self, query: Query, *, problem: str = "") -> HttpResponse:
        projects = list_projects(principal=self.principal)
        sees_everything = can_report_everything(principal=self.principal)
        context = {
            "place": "ledger",
            "projects": projects,
            "sees_everything": sees_everything,
            "sees_any": sees_everything or bool(projects),
            "presets": list_presets(now=SYSTEM_CLOCK.now()),
            "values": {name: query.get(name)[:40] for name in ("since", "until", "project")},
            "problem": problem,
        }
        return self.render("audit/report_ask.html", context, status=422 if problem else 200)


def _download(made: MadeReport, *, form: str) -> HttpResponse:
    name = f"report-{made.report.since:%Y-%m-%d}.{form}"
    if form == "csv":
        answer = HttpResponse(write_lines(made.document), content_type=_CSV)
    else:
        text = json.dumps(made.document, indent=1, sort_keys=True, ensure_ascii=False)
        answer = HttpResponse(text, content_type=_JSON)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _read_day(text: str) -> datetime | None:
    """Return an instant of "2026-03-01" or "2026-03-01T09:00", UTC unless it says; or `None`."""
    try:
        found = parse_datetime(text.replace(" ", "+") if "T" in text else f"{text}T00:00")
    except ValueError:
        return None
    if found is None:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

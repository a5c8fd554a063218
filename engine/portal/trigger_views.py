"""The page of one trigger. Read `TriggerView`."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from core.kernel import limits
from core.kernel.errors import ConflictError, ForbiddenError, InvalidError
from core.toolkit.portal.views import PortalView
from engine.portal.context.trigger import make_trigger
from engine.selectors import backfills as backfill_selectors
from engine.selectors import triggers as selectors
from engine.services import backfills, triggers

_NO_REASON: Final = "Say why, for whoever reads the record."
_NO_DAYS: Final = "Name the first day, and the day after the last one."


class TriggerView(PortalView):
    """One trigger: how it goes, pausing it, the secret of a webhook, backfills of a schedule."""

    throttle_scope = "start"

    def get(self, request: HttpRequest, project: str, slug: str, name: str) -> HttpResponse:
        """Return the page."""
        return self._show(project, slug, name)

    def post(self, request: HttpRequest, project: str, slug: str, name: str) -> HttpResponse:
        """Do what one of the page's forms asks for, and show the page again."""
        place = {"project_slug": project, "workflow_slug": slug, "name": name}
        act = self._acts().get(request.POST.get("act", ""))
        if act is None:
            return self._show(project, slug, name)
        try:
            shown = act(place)
        except (InvalidError, ConflictError, ForbiddenError) as error:
            return self._show(project, slug, name, status=422, error=error.message)
        if shown:
            return self._show(project, slug, name, **shown)
        return self.go_to(request.path)

    def _acts(self) -> Mapping[str, Callable[[dict[str, str]], dict[str, Any]]]:
        return {
            "pause": self._pause,
            "resume": self._resume,
            "secret": self._make_secret,
            "backfill": self._backfill,
            "cancel": self._cancel,
        }

    def _pause(self, place: dict[str, str]) -> dict[str, Any]:
        if not self._reason:
            return {"status": 422, "error": _NO_REASON}
        triggers.pause_trigger(principal=self.principal, reason=self._reason, **place)
        return {}

    def _resume(self, place: dict[str, str]) -> dict[str, Any]:
        if not self._reason:
            return {"status": 422, "error": _NO_REASON}
        triggers.resume_trigger(principal=self.principal, reason=self._reason, **place)
        return {}

    def _make_secret(self, place: dict[str, str]) -> dict[str, Any]:
        """Make a secret; the page that answers is the only one that shows it."""
        made = triggers.make_secret(
            principal=self.principal,
            project_slug=place["project_slug"],
            workflow_slug=place["workflow_slug"],
            name=place["name"],
        )
        return {"made": made}

    def _backfill(self, place: dict[str, str]) -> dict[str, Any]:
        since, until = self._read_day("since"), self._read_day("until")
        if since is None or until is None:
            return {"status": 422, "error": _NO_DAYS}
        again = "again" in self.request.POST
        is_dry = "dry" in self.request.POST
        tried = backfills.start_backfill(
            principal=self.principal,
            period=backfills.Period(since=since, until=until, again=again),
            reason=self._reason,
            is_dry=is_dry,
            **place,
        )
        if not is_dry:
            return {}
        days = {key: self.request.POST.get(key, "") for key in ("since", "until")}
        return {"tried": tried, "tried_count": len(tried.instants), "days": days, "again": again}

    def _cancel(self, place: dict[str, str]) -> dict[str, Any]:
        try:
            backfill_id = UUID(self.request.POST.get("backfill", ""))
        except ValueError:
            return {}
        backfills.cancel_backfill(
            principal=self.principal, backfill_id=backfill_id, reason=self._reason, **place
        )
        return {}

    @property
    def _reason(self) -> str:
        return self.request.POST.get("reason", "").strip()

    def _read_day(self, field: str) -> datetime | None:
        try:
            day = date.fromisoformat(self.request.POST.get(field, ""))
        except ValueError:
            return None
        return datetime.combine(day, time(), tzinfo=UTC)

    def _show(
        self, project: str, slug: str, name: str, *, status: int = 200, **shown: Any
    ) -> HttpResponse:
        page = selectors.get_trigger_page(
            principal=self.principal, project_slug=project, workflow_slug=slug, name=name
        )
        found = backfill_selectors.list_backfills(
            principal=self.principal, project_slug=project, workflow_slug=slug, name=name
        )
        context = {
            "place": "workflows",
            "trigger": make_trigger(page, backfills=found),
            "host": f"{self.request.scheme}://{self.request.get_host()}",
            "reason_chars_max": limits.REASON_CHARS_MAX,
            **shown,
        }
        return self.render("engine/trigger.html", context, status=status)

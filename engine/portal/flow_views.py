"""The pages that pause and resume, and that of a project. Read `PauseView`."""

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.kernel import limits
from core.kernel.errors import InvalidError
from core.toolkit.portal.views import PortalView
from engine.portal.context.flow_control import make_project
from engine.selectors import flow_control as selectors
from engine.services import flow_control as services

_WORDS: Final = {
    "pause": (
        "Pause",
        "No run begins until it is resumed. Runs that are open go on. What triggers start waits.",
    ),
    "resume": ("Resume", "Runs begin again, and what triggers would have started does as well."),
}
_SAY_WHY: Final = "Say why, for whoever reads the record."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be paused or resumed, and where one comes from."""

    name: str
    back: str
    may: bool


class PauseView(PortalView):
    """Pausing and resuming a workflow."""

    verb = "pause"

    def get(self, request: HttpRequest, project: str, slug: str) -> HttpResponse:
        """Ask for the reason."""
        return self._ask(self._find(project, slug))

    def post(self, request: HttpRequest, project: str, slug: str) -> HttpResponse:
        """Do it, and go back to the workflow."""
        asked, reason = self._find(project, slug), request.POST.get("reason", "").strip()
        act = services.pause_workflow if self.verb == "pause" else services.resume_workflow
        try:
            act(principal=self.principal, project_slug=project, workflow_slug=slug, reason=reason)
        except InvalidError as error:
            return self._ask(asked, reason=reason, error=error.message)
        except AccessForbiddenError:
            return self._ask(asked)
        return self.go_to(asked.back)

    def _find(self, project: str, slug: str) -> _Asked:
        found = selectors.get_pauses(
            principal=self.principal, project_slug=project, workflow_slug=slug
        )
        back = reverse("engine_portal:workflow", args=(project, slug))
        return _Asked(name=f"{project} / {slug}", back=back, may=found.may_pause)

    def _ask(self, asked: _Asked, *, reason: str = "", error: str = "") -> HttpResponse:
        return _ask(self, asked, self.verb, reason=reason, error=error)


class ProjectPauseView(PortalView):
    """Pausing and resuming a project."""

    verb = "pause"

    def get(self, request: HttpRequest, project: str) -> HttpResponse:
        """Ask for the reason."""
        return _ask(self, self._find(project), self.verb)

    def post(self, request: HttpRequest, project: str) -> HttpResponse:
        """Do it, and go back to the project."""
        asked, reason = self._find(project), request.POST.get("reason", "").strip()
        act = services.pause_project if self.verb == "pause" else services.resume_project
        try:
            act(principal=self.principal, project_slug=project, reason=reason)
        except InvalidError as error:
            return _ask(self, asked, self.verb, reason=reason, error=error.message)
        except AccessForbiddenError:
            return _ask(self, asked, self.verb)
        return self.go_to(asked.back)

    def _find(self, project: str) -> _Asked:
        found = selectors.get_project_flow(principal=self.principal, project_slug=project)
        back = reverse("engine_portal:project", args=(project,))
        return _Asked(name=project, back=back, may=found.may_pause)


class ProjectView(PortalView):
    """How much a project may start, and what it has."""

    def get(self, request: HttpRequest, project: str) -> HttpResponse:
        """Return the project's pause and its quota."""
        return self._show(project)

    def post(self, request: HttpRequest, project: str) -> HttpResponse:
        """Set the quota."""
        names = ("open_runs", "starts_per_hour", "starts_per_day")
        typed = {name: request.POST.get(name, "").strip() for name in names}
        wrong = [
            name
            for name, text in typed.items()
            if text and not (text.isdecimal() and int(text) <= limits.QUOTA_COUNT_MAX)
        ]
        if wrong:
            return self._show(project, typed=typed, wrong=wrong)
        own = [int(text) if text else None for text in typed.values()]
        try:
            services.set_quota(
                principal=self.principal,
                project_slug=project,
                open_run_count_max=own[0],
                hour_start_count_max=own[1],
                day_start_count_max=own[2],
            )
        except AccessForbiddenError:
            return self._show(project, status=403)
        return self.go_to(reverse("engine_portal:project", args=(project,)))

    def _show(
        self,
        project: str,
        *,
        typed: dict[str, str] | None = None,
        wrong: list[str] | None = None,
        status: int = 200,
    ) -> HttpResponse:
        flow = selectors.get_project_flow(principal=self.principal, project_slug=project)
        context = make_project(flow, typed=typed or {}, wrong=wrong or [])
        return self.render(
            "engine/project.html",
            {"place": "workflows", "project": context},
            status=422 if wrong else status,
        )


def _ask(
    view: PortalView, asked: _Asked, verb: str, *, reason: str = "", error: str = ""
) -> HttpResponse:
    word, about = _WORDS[verb]
    if not reason and view.carried is not None:
        reason = view.carried.get("reason", "")
    context = {
        "place": "workflows",
        "asked": asked,
        "word": word,
        "about": about,
        "verb": verb,
        "reason": reason,
        "error": _SAY_WHY if error and not reason else error,
        "reason_chars_max": limits.REASON_CHARS_MAX,
    }
    status = 422 if error else (200 if asked.may else 403)
    return view.render("engine/flow_verb.html", context, status=status)

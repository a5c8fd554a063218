"""The pages on which an operator says why something is done to a run. Read `SteerView`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.kernel import limits
from core.kernel.errors import ConflictError, InvalidError, MissingError
from core.toolkit.portal.views import PortalView
from engine.domain.errors import RunMissingError
from engine.domain.state import RunStatus
from engine.portal.context.workflows import make_access
from engine.portal.naming import short_key, title_of
from engine.selectors import run_pages
from engine.services import steering
from engine.services.steering import Steered

_REFUSED = (InvalidError, ConflictError, MissingError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerVerb:
    """What an operator does. `{}` in the words is the title of the run or of the step."""

    do: Callable[..., Steered]
    title: str
    about: str
    button: str
    stay: str
    refused: str  # completes "… may not …"
    choice: str = ""  # what its checkbox says, "" for none


PAUSE: Final = SteerVerb(
    do=steering.pause_run,
    title="Pause “{}”?",
    about="Nothing new begins: no attempt, no approval, no called run, and no timer ends. What "
    "executes may finish, open approvals can be decided, and what they lead to waits. Time goes on "
    "for deadlines.",
    button="Pause the run",
    stay="Keep it running",
    refused="pause this run",
    choice="Pause the runs it has called as well",
)
RESUME: Final = SteerVerb(
    do=steering.resume_run,
    title="Resume “{}”?",
    about="The run goes on where it stood, and what was due meanwhile is due now. A run that has "
    "halted is replayed first: it goes on only if its record can be followed.",
    button="Resume the run",
    stay="Leave it as it is",
    refused="resume this run",
    choice="Resume the paused runs it has called as well",
)
RETRY: Final = SteerVerb(
    do=steering.retry_step,
    title="Try {} again?",
    about="An attempt that was to begin later begins now. A step that has failed begins anew, "
    "under a new idempotency key, and what was not reached for it is open again.",
    button="Try it again",
    stay="Leave it as it is",
    refused="try steps of this run again",
)
SKIP: Final = SteerVerb(
    do=steering.skip_step,
    title="Skip {}?",
    about="The step counts as skipped. Steps that need it are skipped too, unless their own `if` "
    "says otherwise; approvals that need it are not reached. This cannot be undone.",
    button="Skip it",
    stay="Leave it as it is",
    refused="skip steps of this run",
)


class SteerView(PortalView):
    """Doing something to a run, or to a step of it, with a reason."""

    verb: SteerVerb = PAUSE

    def get(self, request: HttpRequest, run_id: UUID, key: str = "") -> HttpResponse:
        """Ask for the reason; who may not act so reads who may."""
        reason = self.carried.get("reason", "") if self.carried is not None else ""
        return self._ask(run_id, key, reason=reason)

    def post(self, request: HttpRequest, run_id: UUID, key: str = "") -> HttpResponse:
        """Do it and go back to the run, or to the step."""
        reason = request.POST.get("reason", "")
        given: dict[str, Any] = {"key": key} if key else {}
        if self.verb.choice:
            given["with_children"] = "with_children" in request.POST
        try:
            self.verb.do(principal=self.principal, run_id=run_id, reason=reason.strip(), **given)
        except RunMissingError:
            raise
        except _REFUSED as error:
            return self._ask(run_id, key, reason=reason, error=error.message)
        except AccessForbiddenError as error:
            return self._ask(run_id, key, reason=reason, error=error.message)
        return self.go_to(self._back(run_id, key))

    def _ask(self, run_id: UUID, key: str, *, reason: str, error: str = "") -> HttpResponse:
        page = run_pages.get_cancel_page(principal=self.principal, run_id=run_id)
        back = self._back(run_id, key)
        if not page.may_operate:
            access = make_access(page.operators, shown=[Permission.OPERATE_RUN])
            context = {
                "place": "runs",
                "what": self.verb.refused,
                "row": access[0],
                "back": back,
            }
            return self.render("engine/refused.html", context, status=403)
        context = {
            "place": "runs",
            "run_id": run_id,
            "page": page,
            "verb": self.verb,
            "title": self.verb.title.format(title_of(key) if key else page.title),
            "back": back,
            "is_closed": page.status == RunStatus.CLOSED,
            "with_children": "with_children" in self.request.POST,
            "reason": reason,
            "error": error,
            "reason_chars_max": limits.REASON_CHARS_MAX,
        }
        return self.render("engine/run_steer.html", context, status=422 if error else 200)

    def _back(self, run_id: UUID, key: str) -> str:
        address = reverse("engine_portal:run", args=(run_id,))
        return f"{address}?{urlencode({'step': short_key(key)})}" if key else address

"""The page on which a run is run again. Read `RerunView`."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.kernel import ids, limits
from core.kernel.errors import ConflictError, InvalidError, TooLargeError
from core.toolkit.portal.views import PortalView
from engine.domain.errors import KeyReusedError
from engine.portal.context.rerun import RerunContext, make_rerun
from engine.portal.context.workflows import make_access
from engine.selectors import rerun_pages
from engine.selectors.rerun_pages import RerunPage
from engine.services import rerunning
from engine.services.rerunning import Wish

_USED_KEY = "This form has started a run already. Look at it first; or open this page again."
_REFUSED = (InvalidError, TooLargeError, ConflictError)


class RerunView(PortalView):
    """Running a run again from a step."""

    throttle_scope = "start"

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Show what would be taken over and what runs again; who may not reads who may."""
        carried = self.carried
        step = carried.get("step", "") if carried is not None else request.GET.get("step", "")
        reason = carried.get("reason", "") if carried is not None else ""
        return self._ask(run_id, step=step, reason=reason, key=str(ids.uuid7()))

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Start the new run and go to it."""
        step, reason = request.POST.get("step", ""), request.POST.get("reason", "")
        key = request.POST.get("key", "")
        try:
            started = rerunning.rerun(
                principal=self.principal,
                run_id=run_id,
                wish=Wish(step=step),
                reason=reason.strip(),
                idempotency_key=key,
            )
        except KeyReusedError:
            return self._ask(
                run_id, step=step, reason=reason, error=_USED_KEY, key=str(ids.uuid7())
            )
        except _REFUSED as error:
            return self._ask(run_id, step=step, reason=reason, error=error.message, key=key)
        except AccessForbiddenError:
            return self._ask(run_id, step=step, reason=reason, key=key)
        return self.go_to(reverse("engine_portal:run", args=(started.run_id,)))

    def _ask(
        self, run_id: UUID, *, step: str, reason: str, key: str, error: str = ""
    ) -> HttpResponse:
        page = rerun_pages.get_rerun_page(principal=self.principal, run_id=run_id)
        if page.missing is not None:
            return self._refuse(run_id, page, page.missing)
        foreseen, refused = self._foresee(run_id, step)
        context = {
            "place": "runs",
            "run_id": run_id,
            "page": page,
            "foreseen": foreseen,
            "refused": refused,
            "reason": reason,
            "error": error,
            "key": key[: limits.IDEMPOTENCY_KEY_CHARS_MAX],
            "reason_chars_max": limits.REASON_CHARS_MAX,
        }
        return self.render("engine/run_again.html", context, status=422 if error else 200)

    def _foresee(self, run_id: UUID, step: str) -> tuple[RerunContext | None, str]:
        """Return what would be done, or why it cannot be. A step that is not there is no step."""
        try:
            made = rerunning.foresee(principal=self.principal, run_id=run_id, wish=Wish(step=step))
        except InvalidError:
            return (None, "") if not step else self._foresee(run_id, "")
        except (ConflictError, TooLargeError) as error:
            return None, error.message
        return make_rerun(made, chosen=step), ""

    def _refuse(self, run_id: UUID, page: RerunPage, missing: Permission) -> HttpResponse:
        access = make_access(page.holders, shown=[missing])
        context = {
            "place": "runs",
            "what": "run this run again",
            "row": access[0],
            "back": reverse("engine_portal:run", args=(run_id,)),
        }
        return self.render("engine/refused.html", context, status=403)

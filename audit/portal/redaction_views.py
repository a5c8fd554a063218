"""The page of redactions, legal holds and retention. Read `RedactionsView`."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from audit.domain.errors import RedactionInvalidError, RedactionMissingError
from audit.domain.redaction import (
    HoldKind,
    LegalBasis,
    Order,
    Part,
    Target,
    TargetKind,
)
from audit.portal.context.redactions import make_redactions
from audit.selectors import redactions as selectors
from audit.selectors.reading import can_read_ledger
from audit.services import holds, redactions, retention
from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.principal import Principal
from core.kernel import limits
from core.kernel.errors import ConflictError, MissingError, PlatformError, Problem, TooLargeError
from core.toolkit.portal.views import PortalView

_Act = Callable[[Principal, QueryDict], object]
_Choice = TypeVar("_Choice", bound=StrEnum)


class RedactionsView(PortalView):
    """What was ordered to be erased, what may not be, and what goes by itself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show all of it to who may see it."""
        return self._show()

    def post(self, request: HttpRequest) -> HttpResponse:
        """Do what a form of the page asks for; say why not in place, with what was typed."""
        act = _ACTS.get(request.POST.get("act", ""))
        if act is None:
            return self._show(error=RedactionInvalidError("There is no such act."), status=422)
        try:
            act(self.principal, request.POST)
        except AccessForbiddenError as error:
            return self._show(error=error, status=403)
        except RedactionInvalidError as error:
            return self._show(error=error, status=422)
        except (ConflictError, MissingError, TooLargeError) as error:
            return self._show(error=error, status=409)
        return self.go_to(reverse("audit_portal:redactions"))

    def _show(self, *, error: PlatformError | None = None, status: int = 200) -> HttpResponse:
        principal = self.principal
        # Who reads the ledger of a project only is not turned away, and finds nothing here.
        if not (selectors.can_see(principal=principal) or can_read_ledger(principal=principal)):
            raise RedactionMissingError
        limit = limits.REDACTION_PAGE_COUNT
        typed = self.request.POST if error is not None else self.carried
        given = {} if typed is None else {name: typed.get(name, "") for name in typed}
        context = make_redactions(
            redactions=selectors.list_redactions(principal=principal, limit=limit),
            holds=selectors.list_holds(principal=principal, limit=limit),
            retentions=selectors.list_retentions(principal=principal),
            person_id=principal.person_id,
            may_act=selectors.can_redact(principal=principal),
            typed=given,
            error=error,
        )
        return self.render(
            "audit/redactions.html", {"place": "ledger", "page": context}, status=status
        )


def _request(principal: Principal, typed: QueryDict) -> None:
    seq = typed.get("seq", "").strip()
    redactions.request_redaction(
        principal=principal,
        order=Order(
            target=Target(
                kind=_choose(TargetKind, typed, "target"),
                id=_read_id(typed, "target_id"),
                seq=int(seq) if seq.isdecimal() and len(seq) < _SEQ_DIGITS else 0,
                name=typed.get("name", "").strip(),
            ),
            basis=_choose(LegalBasis, typed, "basis"),
            reason=typed.get("reason", ""),
            reference=typed.get("reference", ""),
        ),
    )


def _approve(principal: Principal, typed: QueryDict) -> None:
    redactions.approve_redaction(principal=principal, redaction_id=_read_id(typed, "id"))


def _decline(principal: Principal, typed: QueryDict) -> None:
    redactions.decline_redaction(
        principal=principal, redaction_id=_read_id(typed, "id"), reason=typed.get("reason", "")
    )


def _hold(principal: Principal, typed: QueryDict) -> None:
    holds.place_hold(
        principal=principal,
        kind=_choose(HoldKind, typed, "kind"),
        target_id=_read_id(typed, "held_id"),
        reason=typed.get("hold_reason", ""),
        reference=typed.get("hold_reference", ""),
    )


def _release(principal: Principal, typed: QueryDict) -> None:
    holds.release_hold(
        principal=principal, hold_id=_read_id(typed, "id"), reason=typed.get("reason", "")
    )


def _retain(principal: Principal, typed: QueryDict) -> None:
    retention.set_retention(
        principal=principal,
        project_slug=typed.get("project", ""),
        part=_choose(Part, typed, "part"),
        period=typed.get("period", "").strip(),
        reason=typed.get("retain_reason", ""),
    )


_SEQ_DIGITS: Final = 10
_ACTS: Final[Mapping[str, _Act]] = {
    "request": _request,
    "approve": _approve,
    "decline": _decline,
    "hold": _hold,
    "release": _release,
    "retain": _retain,
}


def _choose(kind: type[_Choice], typed: QueryDict, name: str) -> _Choice:
    """Return what was chosen. Raises: RedactionInvalidError."""
    try:
        return kind(typed.get(name, ""))
    except ValueError as error:
        problem = Problem(path=f"/{name}", message="Choose one of the list.")
        raise RedactionInvalidError(problem.message, problems=[problem]) from error


def _read_id(typed: QueryDict, name: str) -> UUID:
    """Return an id. Raises: RedactionInvalidError."""
    try:
        return UUID(typed.get(name, "").strip())
    except ValueError as error:
        problem = Problem(path=f"/{name}", message="This is no id; copy it from the address.")
        raise RedactionInvalidError(problem.message, problems=[problem]) from error

"""The page on which a run is run again. Read `RerunView`."""

import json
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.kernel import ids, limits
from core.kernel.errors import ConflictError, InvalidError, PlatformError, TooLargeError
from core.kernel.types import Json
from core.toolkit.portal.schema_form import NotAValueError, read_json_map
from core.toolkit.portal.views import PortalView
from engine.domain.errors import (
    KeyReusedError,
    NothingPublishedError,
    StepMissingError,
    VersionMissingError,
)
from engine.portal.context.rerun import make_rerun
from engine.portal.context.workflows import make_access
from engine.selectors import rerun_pages
from engine.selectors.rerun_pages import RerunPage
from engine.services import rerunning
from engine.services.rerunning import Foreseen, Wish

_USED_KEY: Final = "This form has started a run already. Look at it first; or open this page again."
_NUMBER_MAX: Final = 2**31 - 1
_REFUSED: Final = (InvalidError, TooLargeError, ConflictError, VersionMissingError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What was typed. `inputs` and `rev` are "" for those of the run."""

    step: str = ""
    rev: str = ""
    inputs: str = ""
    reason: str = ""
    key: str = ""

    @classmethod
    def read(cls, sent: QueryDict) -> "Typed":
        """Return what a form sent."""
        return cls(
            step=sent.get("step", ""),
            rev=sent.get("rev", ""),
            inputs=sent.get("inputs", ""),
            reason=sent.get("reason", ""),
            key=sent.get("key", ""),
        )

    def wish(self, page: RerunPage) -> Wish:
        """Return what is wished for; what is as in the run is not wished for.

        Raises: NotAValueError: the inputs are no JSON map.
        """
        inputs: Json = read_json_map(self.inputs) if self.inputs.strip() else None
        if inputs is not None and _write(inputs) == _write(page.inputs):
            inputs = None
        is_number = self.rev.isascii() and self.rev.isdigit() and len(self.rev) <= len("2147483647")
        rev = min(int(self.rev), _NUMBER_MAX) if is_number else page.rev
        return Wish(step=self.step, inputs=inputs, rev=None if rev == page.rev else rev)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What would be done, `None` if it cannot be.

    `basis` has what can be chosen; `step` is what is, "" for everything. `errors` are by field;
    `refused` says why the run cannot be run again whatever is chosen.
    """

    foreseen: Foreseen | None = None
    basis: Foreseen | None = None
    step: str = ""
    errors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: str = ""


class RerunView(PortalView):
    """Running a run again from a step, as it was or with other inputs or another version."""

    throttle_scope = "start"

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Show what would be taken over and what runs again; who may not reads who may."""
        sent = self.carried if self.carried is not None else request.GET
        typed = Typed.read(sent)
        return self._ask(run_id, replace(typed, key=str(ids.uuid7())))

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Start the new run and go to it; or only show what it would do."""
        typed = Typed.read(request.POST)
        if "show" in request.POST:
            return self._ask(run_id, replace(typed, key=str(ids.uuid7())))
        page = self._read(run_id)
        if page.missing is not None:
            return self._refuse(run_id, page, page.missing)
        try:
            started = rerunning.rerun(
                principal=self.principal,
                run_id=run_id,
                wish=typed.wish(page),
                reason=typed.reason.strip(),
                idempotency_key=typed.key,
            )
        except (NotAValueError, AccessForbiddenError):
            return self._ask(run_id, typed)  # which says so itself
        except KeyReusedError:
            return self._ask(run_id, replace(typed, key=str(ids.uuid7())), error=_USED_KEY)
        except _REFUSED as error:
            return self._ask(run_id, typed, error=error.message)
        return self.go_to(reverse("engine_portal:run", args=(started.run_id,)))

    def _read(self, run_id: UUID) -> RerunPage:
        return rerun_pages.get_rerun_page(principal=self.principal, run_id=run_id)

    def _ask(self, run_id: UUID, typed: Typed, *, error: str = "") -> HttpResponse:
        page = self._read(run_id)
        if page.missing is not None:
            return self._refuse(run_id, page, page.missing)
        outlook = self._look(run_id, page, typed)
        shown = outlook.foreseen or outlook.basis
        context = {
            "place": "runs",
            "run_id": run_id,
            "page": page,
            "foreseen": make_rerun(shown, chosen=outlook.step) if shown is not None else None,
            "can_start": outlook.foreseen is not None,
            "errors": outlook.errors,
            "refused": outlook.refused,
            "typed": typed,
            "rev": typed.rev or str(page.rev),
            "inputs": typed.inputs.strip() or json.dumps(page.inputs, ensure_ascii=False, indent=2),
            "is_forked": bool(outlook.errors)
            or (outlook.foreseen is not None and typed.wish(page).is_fork),
            "error": error,
            "key": typed.key[: limits.IDEMPOTENCY_KEY_CHARS_MAX],
            "reason_chars_max": limits.REASON_CHARS_MAX,
        }
        is_wrong = bool(error or outlook.errors)
        return self.render("engine/run_again.html", context, status=422 if is_wrong else 200)

    def _look(self, run_id: UUID, page: RerunPage, typed: Typed) -> Outlook:
        """Return what would be done. A step that is not there is no step, but in a fork."""
        try:
            wish = typed.wish(page)
        except NotAValueError as error:
            return self._look_again(run_id, typed, {"inputs": (str(error),)})
        try:
            made = rerunning.foresee(principal=self.principal, run_id=run_id, wish=wish)
        except _REFUSED as error:
            if wish.is_fork:
                return self._look_again(run_id, typed, _place(error, wish))
            if isinstance(error, NothingPublishedError) and page.revs:
                return Outlook(errors={"rev": (error.message,)})
            if isinstance(error, InvalidError) and typed.step:
                return self._look(run_id, page, replace(typed, step=""))
            return Outlook(refused=error.message)
        return Outlook(foreseen=made, basis=made, step=typed.step)

    def _look_again(
        self, run_id: UUID, typed: Typed, errors: dict[str, tuple[str, ...]]
    ) -> Outlook:
        """Return what can be chosen when a fork cannot be made as it is wished for."""
        for step in dict.fromkeys((typed.step, "")):
            try:
                basis = rerunning.foresee(
                    principal=self.principal, run_id=run_id, wish=Wish(step=step)
                )
            except StepMissingError:
                continue
            except NothingPublishedError:
                break
            except _REFUSED as error:
                return Outlook(refused=error.message)
            return Outlook(basis=basis, step=step, errors=errors)
        return Outlook(errors=errors)

    def _refuse(self, run_id: UUID, page: RerunPage, missing: Permission) -> HttpResponse:
        access = make_access(page.holders, shown=[missing])
        context = {
            "place": "runs",
            "what": "run this run again",
            "row": access[0],
            "back": reverse("engine_portal:run", args=(run_id,)),
        }
        return self.render("engine/refused.html", context, status=403)


def _place(error: PlatformError, wish: Wish) -> dict[str, tuple[str, ...]]:
    """Return what is wrong with a fork, at the field it is about."""
    if isinstance(error, StepMissingError):
        return {"step": (error.message,)}
    if isinstance(error, VersionMissingError | NothingPublishedError):
        return {"rev": (error.message,)}
    said = tuple(
        f"{item.message} ({item.path})" if item.path else item.message for item in error.problems
    )
    return {"inputs" if wish.inputs is not None else "rev": said or (error.message,)}


def _write(inputs: Json) -> str:
    """Return inputs as a text that is equal only for equal ones: `True == 1` in Python."""
    return json.dumps(inputs, sort_keys=True)

"""The page on which an operator sends an event to one run. Read `SendView`."""

import json
from dataclasses import dataclass, field, replace
from typing import Self
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from core.kernel import ids, limits
from core.kernel.errors import ConflictError, InvalidError, TooLargeError
from core.kernel.types import Json
from core.toolkit.portal.schema_form import NotAValueError, read_json_map
from core.toolkit.portal.views import PortalView
from engine.domain.errors import (
    EventInvalidError,
    EventReusedError,
    ReasonMissingError,
    ReasonTooLongError,
)
from engine.domain.state import RunStatus
from engine.portal.context.waiting import say_event
from engine.portal.context.workflows import make_access
from engine.portal.naming import title_of
from engine.selectors import send_pages
from engine.selectors.send_pages import SendPage
from engine.services import addressing
from engine.services.events import check_event

_USED_KEY = "This form has sent an event already. Look at it first; or send this one as another."


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What was typed, and what is wrong with it: a field's name to a sentence, "" for the whole."""

    type: str
    data: str
    reason: str
    key: str
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: QueryDict) -> Self:
        """Return what a form sent."""
        return cls(
            type=sent.get("type", ""),
            data=sent.get("data", ""),
            reason=sent.get("reason", ""),
            key=sent.get("key", ""),
        )

    def refuse(self, name: str, error: str) -> Self:
        """Return it with what is wrong with a field."""
        return replace(self, errors={**self.errors, name: error})


class SendView(PortalView):
    """Sending an event to one run, with a reason."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Ask for the event; who may not send one reads who may."""
        page = send_pages.get_send_page(principal=self.principal, run_id=run_id)
        typed = Typed.read(self.carried) if self.carried is not None else _suggest(page)
        return self._ask(run_id, page, typed)

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Send it and go to the run's events."""
        typed = Typed.read(request.POST)
        try:
            data = read_json_map(typed.data)
        except NotAValueError as error:
            return self._again(run_id, typed.refuse("data", str(error)))
        unfit = check_event(event_type=typed.type.strip(), data={})
        if unfit is not None:
            said = f"{unfit.message[:1].upper()}{unfit.message[1:]}."
            return self._again(run_id, typed.refuse("type", said))
        return self._send(run_id, typed, data)

    def _send(self, run_id: UUID, typed: Typed, data: dict[str, Json]) -> HttpResponse:
        try:
            addressing.send_to_run(
                principal=self.principal,
                run_id=run_id,
                event_type=typed.type.strip(),
                data=data,
                event_id=typed.key,
                reason=typed.reason.strip(),
            )
        except (ReasonMissingError, ReasonTooLongError) as error:
            return self._again(run_id, typed.refuse("reason", error.message))
        except EventReusedError:
            renewed = replace(typed, key=str(ids.uuid7()))
            return self._again(run_id, renewed.refuse("", _USED_KEY))
        except EventInvalidError as error:
            return self._again(run_id, typed.refuse("data", error.message))
        except (InvalidError, ConflictError, TooLargeError, AccessForbiddenError) as error:
            return self._again(run_id, typed.refuse("", error.message))
        return self.go_to(f"{reverse('engine_portal:run', args=(run_id,))}?tab=events")

    def _again(self, run_id: UUID, typed: Typed) -> HttpResponse:
        page = send_pages.get_send_page(principal=self.principal, run_id=run_id)
        return self._ask(run_id, page, typed)

    def _ask(self, run_id: UUID, page: SendPage, typed: Typed) -> HttpResponse:
        if not page.run.may_operate:
            access = make_access(page.run.operators, shown=[Permission.OPERATE_RUN])
            context = {
                "place": "runs",
                "what": "send events to this run",
                "row": access[0],
                "back": reverse("engine_portal:run", args=(run_id,)),
            }
            return self.render("engine/refused.html", context, status=403)
        context = {
            "place": "runs",
            "run_id": run_id,
            "page": page.run,
            "is_closed": page.run.status == RunStatus.CLOSED,
            "awaited": [
                (title_of(item.key), say_event(item.type, item.correlate)) for item in page.awaited
            ],
            "types": list(dict.fromkeys(item.type for item in page.awaited)),
            "typed": typed,
            "whole_error": typed.errors.get("", ""),
            "key": typed.key[: limits.IDEMPOTENCY_KEY_CHARS_MAX],
            "type_chars_max": limits.EVENT_TYPE_CHARS_MAX,
            "reason_chars_max": limits.REASON_CHARS_MAX,
        }
        return self.render("engine/run_send.html", context, status=422 if typed.errors else 200)


def _suggest(page: SendPage) -> Typed:
    """Return what the form begins with: the event, if the run waits for exactly one."""
    kinds = {(item.type, json.dumps(item.correlate, sort_keys=True)) for item in page.awaited}
    one = page.awaited[0] if len(kinds) == 1 else None
    data = json.dumps(one.correlate if one else {}, ensure_ascii=False, indent=2)
    return Typed(type=one.type if one else "", data=data, reason="", key=str(ids.uuid7()))

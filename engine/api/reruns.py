"""Running runs again over HTTP. Read `RerunViewSet`."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.errors import problems_under
from core.toolkit.api.headers import read_idempotency_key
from core.toolkit.api.schema import IDEMPOTENCY_KEY, operation
from core.toolkit.api.serializers import read_body
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api.rerun_serializers import ForeseeInput, ForeseenSerializer, RerunInput
from engine.api.serializers import StartedRunSerializer
from engine.domain.errors import InputsInvalidError
from engine.services import rerunning
from engine.services.rerunning import Wish


class RerunViewSet(ApiViewSet):
    """Runs that are over, to be run again."""

    throttle_scopes: ClassVar[dict[str, str]] = {"start": "start", "foresee": "start"}

    @operation(
        operation_id="runs_rerun",
        summary="Run a run again",
        body=RerunInput,
        answer=StartedRunSerializer,
        status=201,
        answers={200: "This key and body had started the run before."},
        errors=(403, 404, 409, 413),
        headers=(IDEMPOTENCY_KEY,),
    )
    def start(self, request: Request, run_id: UUID) -> Response:
        """Start a new run that takes over what a closed or halted one has done, from a step on.

        Approvals that something executed again depends on are asked again. With other inputs or
        another version it is a fork: what differs, or reads what differs, is executed again too. A
        halted run is cancelled by it. Needs the permissions to start the workflow and to operate
        its runs; whoever runs it again may not decide its approvals.
        """
        body = read_body(request, RerunInput)
        with problems_under("/inputs", of=InputsInvalidError):
            started = rerunning.rerun(
                principal=principal_of(request),
                run_id=run_id,
                wish=_read_wish(body),
                reason=body["reason"],
                idempotency_key=read_idempotency_key(request),
            )
        return Response(
            StartedRunSerializer(started).data,
            status=200 if started.replayed else 201,
            headers={"Location": reverse("api-run", kwargs={"run_id": started.run_id})},
        )

    @operation(
        operation_id="runs_rerun_preview",
        summary="Show what running a run again would do",
        body=ForeseeInput,
        answer=ForeseenSerializer,
        errors=(403, 404, 409, 413),
    )
    def foresee(self, request: Request, run_id: UUID) -> Response:
        """Say which steps would be taken over, and which executed or asked again."""
        body = read_body(request, ForeseeInput)
        with problems_under("/inputs", of=InputsInvalidError):
            foreseen = rerunning.foresee(
                principal=principal_of(request), run_id=run_id, wish=_read_wish(body)
            )
        return Response(ForeseenSerializer(foreseen).data)


def _read_wish(body: Mapping[str, Any]) -> Wish:
    return Wish(step=body["step"] or "", inputs=body["inputs"], rev=body["rev"])

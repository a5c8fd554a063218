"""Signed requests that start runs. Read `HookViewSet`."""

from collections.abc import Sequence
from urllib.parse import parse_qs

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.kernel.types import Json
from core.toolkit.api import origin
from core.toolkit.api.errors import BodyTooLargeError, MalformedError, MediaTypeRefusedError
from core.toolkit.api.parsers import parse_json
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import OutputSerializer
from core.toolkit.api.throttling import require_turn
from core.toolkit.api.views import ApiViewSet
from engine.services import hooks

_FORM = "application/x-www-form-urlencoded"
_JSON = frozenset({"", "application/json"})  # some senders do not say
_FORM_FIELD = "payload"  # as GitHub writes it
_FORM_FIELD_COUNT_MAX = 10


class TakenDeliverySerializer(OutputSerializer):
    """What became of a delivery."""

    id = serializers.CharField(help_text="As its sender calls it.")
    status = serializers.CharField(
        help_text="accepted: it is looked at now. duplicate: it came before. ignored: it is of "
        "another type, or the trigger is paused."
    )


class HookViewSet(ApiViewSet):
    """The addresses of webhooks. Their signature is all that lets a request in."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = (AllowAny,)
    parser_classes: Sequence[type[BaseParser]] = ()

    @extend_schema(request={"application/json": {"type": "object"}})
    @operation(
        operation_id="hooks_receive",
        summary="Receive a webhook",
        answer=TakenDeliverySerializer,
        status=202,
        answers={200: "The delivery came before, or nothing listens for its type."},
        errors=(400, 413, 415, 422),
        is_public=True,
    )
    def receive(self, request: Request, project: str, slug: str, name: str) -> Response:
        """Take a signed request for the trigger at this address.

        The signature is that of the trigger's `provider`: `X-Hub-Signature-256` with
        `X-GitHub-Delivery` and `X-GitHub-Event`; `webhook-id`, `webhook-timestamp` and
        `webhook-signature` (Standard Webhooks); or `X-Webhook-Timestamp` (seconds since 1970) and
        `X-Webhook-Signature`, `sha256=` and the HMAC-SHA256 of the timestamp, a dot and the body
        in hexadecimal. A body is a JSON map of at most 1 MiB, or GitHub's form. Whatever is wrong
        with the address or the signature is 401.
        """
        http = request._request  # noqa: SLF001  # DRF's way in
        body = _read_bytes(request)
        delivery = hooks.check_delivery(
            project_slug=project,
            workflow_slug=slug,
            name=name,
            headers={key.lower(): value for key, value in request.headers.items()},
            body=body,
            source_address=origin.read_source_address(http),
            request_id=origin.read_request_id(http),
        )
        # Counted once it is believed: a stranger must not use up what a sender may.
        require_turn(scope="hook", ident=delivery.ident)
        taken = hooks.take_delivery(delivery=delivery, data=_read_data(request, body))
        is_new = taken.status is hooks.Taken.ACCEPTED
        return Response(TakenDeliverySerializer(taken).data, status=202 if is_new else 200)


def _read_bytes(request: Request) -> bytes:
    """Return the body as it came. Raises: BodyTooLargeError."""
    most = limits.HOOK_BODY_BYTES_MAX
    declared = request.META.get("CONTENT_LENGTH") or "0"
    body: bytes = b""
    if not declared.isdecimal() or int(declared) <= most:
        body = request._request.read(most + 1)  # noqa: SLF001  # before any parser
        if len(body) <= most:
            return body
    raise BodyTooLargeError(f"The body is over {most} bytes.", bytes_max=most)


def _read_data(request: Request, body: bytes) -> Json:
    """Return what a delivery tells. Raises: MalformedError, MediaTypeRefusedError."""
    kind = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if kind == _FORM:
        body = _read_form(body)
    elif kind not in _JSON and not kind.endswith("+json"):
        raise MediaTypeRefusedError("A webhook's body is JSON, or GitHub's form.")
    data: Json = parse_json(body)
    if not isinstance(data, dict):
        raise MalformedError("The body is not a JSON map.")
    return data


def _read_form(body: bytes) -> bytes:
    """Return the JSON in the one field that counts of a form."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=_FORM_FIELD_COUNT_MAX)
    except ValueError as error:  # no UTF-8, or too many fields
        raise MalformedError("The form cannot be read.") from error
    values = fields.get(_FORM_FIELD, [])
    if len(values) != 1:
        raise MalformedError(f"The form has no field `{_FORM_FIELD}`, or several.")
    return values[0].encode()

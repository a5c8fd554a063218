"""The action `http/request@1`: one HTTP request to another system. Read `SPEC` first."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from core.kernel.canonical import UncanonicalError, canonical_bytes
from core.kernel.egress import parse_policy
from core.kernel.limits import (
    HTTP_HEADER_CHARS_MAX,
    HTTP_HEADER_COUNT_MAX,
    HTTP_REQUEST_BYTES_MAX,
    HTTP_TIMEOUT_DEFAULT,
    HTTP_TIMEOUT_MAX,
    HTTP_URL_CHARS_MAX,
)
from core.kernel.masking import Mask
from core.kernel.types import Json, parse_duration
from core.toolkit.outbound import (
    Fault,
    GuardedClient,
    OutboundAnswer,
    OutboundError,
    OutboundRequest,
    parse_target,
)
from countersign.functions import Attempt
from engine import conf
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    TIMEOUT,
    TRANSIENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    recordable,
)

_READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]

# What a definition may not set: the client does, or the connection would stop meaning one request.
_HEADERS_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What is kept of an answer. Cookies and server banners are nobody's business later on.
_HEADERS_KEPT = ("content-type", "date", "etag", "last-modified", "location", "retry-after")
_EXCERPT_CHARS_MAX = 200
_JSON_TYPE = re.compile(r"application/([a-z0-9.+-]+\+)?json", re.IGNORECASE)
_TOO_MANY = 429
_SERVER_ERROR = 500
_FAULT_KINDS = {
    Fault.CONNECTION: TRANSIENT,
    Fault.TIMEOUT: TIMEOUT,
    Fault.DENIED: PERMANENT,
    Fault.TOO_LARGE: PERMANENT,
    Fault.PROTOCOL: PERMANENT,
    Fault.INVALID: INVALID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """The arguments, read."""

    request: OutboundRequest
    expected: frozenset[int] | None  # `None`: any 2xx


def send_request(call: ActionCall) -> Json:
    """Send the request the arguments describe, to what the deployment allows.

    Requests that may change something carry `Idempotency-Key: <attempt.idempotency_key>`, the same
    for every attempt of the step.

    Returns:
        `{status, headers, json | text}`; `json` when the answer says it is JSON. Header names are
        lower-case, and only a few headers are kept.

    Raises:
        ActionError: `invalid` for wrong arguments; `timeout`; `transient` when the other system
            cannot be reached or answers 429 or 5xx; `permanent` for any other status that was not
            expected, an address that is not allowed, and an answer that is too large.
    """
    policy = parse_policy(conf.http_private_allowed())
    return send_with(call, client=GuardedClient(policy=policy))


def send_with(call: ActionCall, *, client: GuardedClient) -> Json:
    """Send the request with a client of the caller's. See `send_request`."""
    check_arguments(SPEC.input_validator, call.arguments)
    try:
        prepared = _prepare(call.arguments, attempt=call.attempt)
        answer = client.send(prepared.request)
    except OutboundError as error:
        raise ActionError(_FAULT_KINDS[error.fault], error.message) from error
    _check_status(prepared, answer, mask=call.mask)
    return recordable(_result(prepared, answer))


def _prepare(arguments: Mapping[str, Any], *, attempt: Attempt) -> _Prepared:
    method: str = arguments["method"]
    content_type, body = _body(arguments)
    headers = _headers(arguments.get("headers", {}))
    names = {name.lower() for name, _ in headers}
    if content_type and "content-type" not in names:
        headers.append(("Content-Type", content_type))
    if method not in _READ_METHODS and "idempotency-key" not in names:
        headers.append(("Idempotency-Key", attempt.idempotency_key))
    if "user-agent" not in names:
        headers.append(("User-Agent", "countersign"))
    return _Prepared(
        request=OutboundRequest(
            method=method,
            target=parse_target(arguments["url"]),
            headers=headers,
            body=body,
            timeout_seconds=min(_timeout_seconds(arguments), attempt.timeout_seconds),
        ),
        expected=_expected(arguments),
    )


def _body(arguments: Mapping[str, Any]) -> tuple[str, bytes]:
    if "json" in arguments and "text" in arguments:
        raise ActionError(INVALID, "with: give either json or text.")
    if "json" in arguments:
        try:
            # Canonical, so that two attempts send the same bytes under the same key.
            kind, body = "application/json", canonical_bytes(arguments["json"])
        except UncanonicalError as error:
            raise ActionError(INVALID, f"with/json: {error.message}") from error
    elif "text" in arguments:
        kind, body = "text/plain; charset=utf-8", arguments["text"].encode()
    else:
        return "", b""
    if len(body) > HTTP_REQUEST_BYTES_MAX:
        raise ActionError(INVALID, f"with: the body is over {HTTP_REQUEST_BYTES_MAX} bytes.")
    return kind, body


def _headers(given: Mapping[str, str]) -> list[tuple[str, str]]:
    reserved = sorted(name for name in given if name.lower() in _HEADERS_RESERVED)
    if reserved:
        raise ActionError(INVALID, f"with/headers: {reserved[0]} is set by the platform.")
    return list(given.items())


def _timeout_seconds(arguments: Mapping[str, Any]) -> float:
    if "timeout" not in arguments:
        return HTTP_TIMEOUT_DEFAULT.total_seconds()
    timeout = parse_duration(arguments["timeout"])
    if timeout is None or not 0 < timeout.total_seconds() <= HTTP_TIMEOUT_MAX.total_seconds():
        raise ActionError(
            INVALID, f"with/timeout: {arguments['timeout']!r} is no duration of at most an hour."
        )
    return timeout.total_seconds()


def _expected(arguments: Mapping[str, Any]) -> frozenset[int] | None:
    status: int | Sequence[int] | None = arguments.get("expect", {}).get("status")
    if status is None:
        return None
    return frozenset([status] if isinstance(status, int) else status)


def _check_status(prepared: _Prepared, answer: OutboundAnswer, *, mask: Mask) -> None:
    status = answer.status
    if prepared.expected is None:
        if status // 100 == 2:  # noqa: PLR2004  # 2xx
            return
    elif status in prepared.expected:
        return
    request = prepared.request
    # Masked as a whole: of a secret that is cut in two, a half would go on record.
    excerpt = mask.text(answer.body.decode("utf-8", "replace"))[:_EXCERPT_CHARS_MAX]
    message = f"{request.method} {request.target.label} answered {status}"
    if status // 100 == 3:  # noqa: PLR2004  # 3xx
        message += " (redirects are not followed)"
    if excerpt.strip():
        message += f": {excerpt}"
    passing = status == _TOO_MANY or status >= _SERVER_ERROR
    raise ActionError(TRANSIENT if passing else PERMANENT, message)


def _result(prepared: _Prepared, answer: OutboundAnswer) -> dict[str, Json]:
    result: dict[str, Json] = {
        "status": answer.status,
        "headers": {
            name: answer.headers[name][:HTTP_HEADER_CHARS_MAX]
            for name in _HEADERS_KEPT
            if name in answer.headers
        },
    }
    content_type, _, parameters = answer.headers.get("content-type", "").partition(";")
    label = prepared.request.target.label
    try:
        if _JSON_TYPE.fullmatch(content_type.strip()) and answer.body:
            result["json"] = cast("Json", json.loads(answer.body))
        else:
            result["text"] = answer.body.decode(_charset(parameters))
    except (ValueError, LookupError, RecursionError) as error:
        raise ActionError(
            PERMANENT, f"The answer of {label} is not what its Content-Type says: {error}"
        ) from error
    return result


def _charset(parameters: str) -> str:
    match = re.search(r"charset\s*=\s*\"?([A-Za-z0-9_.:-]+)", parameters)
    return match.group(1) if match else "utf-8"


_STATUS = {"type": "integer", "minimum": 100, "maximum": 599}

_execute: Callable[[ActionCall], Json] = send_request

SPEC = ActionSpec(
    name="http/request",
    version=1,
    input_schema=object_schema(
        {
            "method": {"enum": _METHODS},
            "url": {"type": "string", "minLength": 1, "maxLength": HTTP_URL_CHARS_MAX},
            "headers": {
                "type": "object",
                "maxProperties": HTTP_HEADER_COUNT_MAX,
                # RFC 9110 tokens, and values without line breaks.
                "propertyNames": {"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"},
                "additionalProperties": {
                    "type": "string",
                    "maxLength": HTTP_HEADER_CHARS_MAX,
                    "pattern": "^[\\x20-\\x7e\\t]*\\Z",
                },
            },
            "json": True,
            "text": {"type": "string"},
            "expect": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "status": {
                        "oneOf": [_STATUS, {"type": "array", "minItems": 1, "items": _STATUS}]
                    }
                },
            },
            "timeout": {"type": "string", "maxLength": 40},
        },
        required=("method", "url"),
    ),
    output_schema=object_schema(
        {
            "status": _STATUS,
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "json": True,
            "text": {"type": "string"},
        },
        required=("status", "headers"),
    ),
    # With the key it sends, a repeated request changes nothing more wherever the key is honoured;
    # a system that does not honour it needs `retry: {max: 0}`.
    idempotent=True,
    pure=False,
    execute=_execute,
)

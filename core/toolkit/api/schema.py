"""How the OpenAPI document is made. Read `operation` first.

The document is generated from the code, so it cannot drift from it: every viewset method says its
operation with the decorator here, and every error it may answer with is one shape.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers

from core.kernel import limits
from core.toolkit.api.errors import PROBLEM_MEDIA_TYPE
from core.toolkit.api.serializers import InputSerializer, OutputSerializer, ProblemSerializer

Method = TypeVar("Method", bound=Callable[..., Any])

# What any operation may answer; what is left (406, 500, 503 and the like) is its `default`.
_ERRORS_OF_ALL: Final = frozenset({401, 429})
_ERRORS_OF_BODIES: Final = frozenset({400, 413, 415, 422})

IDEMPOTENCY_KEY: Final = OpenApiParameter(
    name="Idempotency-Key",
    location=OpenApiParameter.HEADER,
    required=False,
    type={"type": "string", "minLength": 1, "maxLength": limits.IDEMPOTENCY_KEY_CHARS_MAX},
    description=(
        "Makes trying again safe: the same key and body give the first answer again, with "
        "`replayed: true`; the same key with another body is refused with 422."
    ),
)
IF_MATCH: Final = OpenApiParameter(
    name="If-Match",
    location=OpenApiParameter.HEADER,
    required=False,
    type={"type": "string", "pattern": '^"[0-9a-f]{64}"$'},
    description="The digest that was shown, in quotes; instead of the body's `digest`.",
)
_PAGE_PARAMETERS: Final = (
    OpenApiParameter(
        name="limit",
        location=OpenApiParameter.QUERY,
        type={
            "type": "integer",
            "minimum": 1,
            "maximum": limits.PAGE_SIZE_MAX,
            "default": limits.PAGE_SIZE_DEFAULT,
        },
        description="How many items a page holds at most.",
    ),
    OpenApiParameter(
        name="cursor",
        location=OpenApiParameter.QUERY,
        type=str,
        description="Where the page starts; taken from a page's `next`, and opaque.",
    ),
)


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # theirs
    """Describes `TokenAuthentication`."""

    target_class = "core.toolkit.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme as OpenAPI writes it."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer cs_…`, or `Token` in place of `Bearer`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # theirs
    """Describes `SessionAuthentication`."""

    target_class = "core.toolkit.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme as OpenAPI writes it."""
        return {
            "type": "apiKey",
            "in": "cookie",
            # A name of every deployment: the document must not depend on where it is generated.
            "name": "__Host-session",
            "description": "The portal's session; changes also need its CSRF token.",
        }


class StrictInput(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # theirs
    """Says of every input that names it does not know are refused."""

    target_class = InputSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the shape, closed."""
        # The inherited method maps `target_class`, the base without any field.
        mapper: Any = auto_schema._map_serializer  # noqa: SLF001  # what theirs calls too
        shape: dict[str, Any] = mapper(self.target, direction, bypass_extensions=True)
        return {**shape, "additionalProperties": False}


def operation(  # noqa: PLR0913  # one keyword per part of an OpenAPI operation
    *,
    operation_id: str,
    summary: str,
    answer: type[OutputSerializer] | None,
    status: int = 200,
    answers: Mapping[int, str] | None = None,
    body: type[InputSerializer] | None = None,
    query: type[InputSerializer] | None = None,
    is_list: bool = False,
    errors: Collection[int] = (),
    headers: Sequence[OpenApiParameter] = (),
    examples: Sequence[OpenApiExample] = (),
    is_public: bool = False,
) -> Callable[[Method], Method]:
    """Return a decorator that describes a viewset method; its docstring is the description.

    Args:
        operation_id: `nouns_verb`, unique.
        summary: one sentence without a period.
        answer: shape of a success, or `None` for one without content.
        status: of a success.
        answers: further statuses with the same shape → what they mean.
        body: shape of the body, if it takes one.
        query: shape of the query parameters, if it takes any.
        is_list: whether it pages; `answer` is then one item.
        errors: statuses it may answer with besides those of every operation.
        headers: header parameters.
        examples: of bodies and answers.
        is_public: whether it answers without credentials.
    """
    shape = page_of(answer) if is_list and answer is not None else answer
    responses: dict[Any, Any] = {
        code: OpenApiResponse(response=shape, description=meaning)
        for code, meaning in {status: HTTPStatus(status).phrase, **(answers or {})}.items()
    }
    wanted = _ERRORS_OF_ALL | frozenset(errors)
    wanted |= _ERRORS_OF_BODIES if body is not None else frozenset()
    wanted |= frozenset({422}) if query is not None or is_list else frozenset()
    for code in sorted(wanted):
        responses[(code, PROBLEM_MEDIA_TYPE)] = OpenApiResponse(
            response=ProblemSerializer, description=HTTPStatus(code).phrase
        )
    responses["default", PROBLEM_MEDIA_TYPE] = OpenApiResponse(
        response=ProblemSerializer, description="Any other error"
    )
    parameters: list[Any] = [*headers, *(_PAGE_PARAMETERS if is_list else ())]
    if query is not None:
        parameters.append(query)
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        request=body,
        responses=responses,
        parameters=parameters,
        examples=list(examples),
        filters=False,
        auth=[] if is_public else None,
    )


@cache
def page_of(item: type[OutputSerializer]) -> Any:
    """Return the shape of one page of items."""
    name = item.__name__.removesuffix("Serializer")
    fields = {
        "items": item(many=True),
        "next": serializers.CharField(
            allow_null=True,
            help_text="Address of the next page, relative to this one; null on the last.",
        ),
    }
    page = type(f"{name}PageSerializer", (OutputSerializer,), fields)
    # Else a method named `list` would be taken for one that answers with an array.
    return extend_schema_serializer(many=False)(page)


def keep_canonical_addresses(endpoints: list[tuple[str, str, str, Any]]) -> list[Any]:
    """Leave out each address's second spelling, without the slash; drf-spectacular's hook."""
    return [item for item in endpoints if item[0].endswith("/")]

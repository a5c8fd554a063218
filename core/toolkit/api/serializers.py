"""What input and output serializers of every app build on. Read `InputSerializer` first.

Input and output are separate classes, and neither touches the database. Fields of an input refuse
other JSON types instead of converting them: `"yes"` is not `true`, `7` is not `"7"`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from core.kernel.errors import Problem
from core.toolkit.api.errors import InputRefusedError


class TextField(serializers.CharField):
    """A JSON string."""

    def to_internal_value(self, data: Any) -> str:
        """Return the string, trimmed unless told otherwise."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """A JSON `true` or `false`."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the value."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class InputSerializer(serializers.Serializer[Any]):
    """The shape of a body or of query parameters; names it does not know are refused."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values, by field name."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        problems: dict[str, Any] = {
            str(name): [serializers.ErrorDetail("There is no such field.", code="unknown_field")]
            for name in unknown
        }
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if isinstance(error.detail, Mapping):
                raise serializers.ValidationError({**error.detail, **problems}) from error
            raise
        if problems:
            raise serializers.ValidationError(problems)
        return values


class OutputSerializer(serializers.Serializer[Any]):
    """The shape of an answer; its fields are read from a selector's or a service's value."""


class ProblemItemSerializer(OutputSerializer):
    """One thing that is wrong with an input, and where."""

    path = serializers.CharField(
        help_text="JSON pointer into the body, or query:<name>, or header:<name>."
    )
    message = serializers.CharField()
    code = serializers.CharField()
    severity = serializers.CharField()
    line = serializers.IntegerField(allow_null=True, help_text="Counts from 1; only of a text.")
    column = serializers.IntegerField(allow_null=True, help_text="Counts from 1; only of a text.")


class ProblemSerializer(OutputSerializer):
    """An error, after RFC 9457; some codes add members of their own."""

    type = serializers.CharField(help_text="urn:countersign:error:<code>")
    title = serializers.CharField(help_text="What this code means, always the same.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened this time.")
    code = serializers.CharField(help_text="Stable; branch on this.")
    instance = serializers.CharField(help_text="Path of the request.")
    request_id = serializers.CharField(help_text="What the platform's log knows the request by.")
    errors = ProblemItemSerializer(  # type: ignore[assignment]  # DRF takes fields off the class
        many=True, required=False
    )


def read_body(request: Request, shape: type[InputSerializer]) -> dict[str, Any]:
    """Return the validated body.

    Raises:
        InputRefusedError: listing every field that breaks its contract.
    """
    return _read(shape, request.data, prefix="")


def read_query(request: Request, shape: type[InputSerializer]) -> dict[str, Any]:
    """Return the validated query parameters, without `limit` and `cursor`, which paging reads.

    They come under the names of the selector's arguments (a field's `source`), so that they can be
    handed on as they are; those that were not sent are not there.

    Raises:
        InputRefusedError: listing every parameter that breaks its contract, or is unknown.
    """
    given = {
        name: value for name, value in request.query_params.items() if name not in _PAGE_PARAMETERS
    }
    return _read(shape, given, prefix="query:")


def list_validation_problems(detail: Any, *, path: str = "") -> Iterator[Problem]:
    """Yield a problem for each leaf of a DRF validation error, with JSON pointers under `path`."""
    if isinstance(detail, Mapping):
        for key, item in detail.items():
            inner = path if key == "non_field_errors" else f"{path}/{_escape(str(key))}"
            yield from list_validation_problems(item, path=inner)
    elif isinstance(detail, list):
        for index, item in enumerate(detail):
            # A list of messages belongs to its field; a list of maps belongs to its items.
            nested = isinstance(item, Mapping | list)
            yield from list_validation_problems(item, path=f"{path}/{index}" if nested else path)
    else:
        yield Problem(message=str(detail), path=path, code=str(getattr(detail, "code", "")))


_PAGE_PARAMETERS = frozenset({"limit", "cursor"})


def _read(shape: type[InputSerializer], data: Any, *, prefix: str) -> dict[str, Any]:
    serializer = shape(data=data)
    try:
        serializer.is_valid(raise_exception=True)
    except serializers.ValidationError as error:
        problems = list_validation_problems(error.detail)
        raise InputRefusedError(
            problems=[_with_prefix(problem, prefix) for problem in problems]
        ) from error
    values: dict[str, Any] = serializer.validated_data
    return values


def _with_prefix(problem: Problem, prefix: str) -> Problem:
    if not prefix:
        return problem
    return Problem(
        message=problem.message, path=prefix + problem.path.removeprefix("/"), code=problem.code
    )


def _escape(key: str) -> str:
    """Return a key as a JSON pointer's part. Source: RFC 6901 §3."""
    return key.replace("~", "~0").replace("/", "~1")

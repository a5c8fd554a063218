"""Events over HTTP, as CloudEvents. Read `EventViewSet` first."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.kernel.errors import Problem
from core.toolkit.api.errors import InputRefusedError
from core.toolkit.api.parsers import StrictJsonParser
from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import (
    InputSerializer,
    OutputSerializer,
    TextField,
    read_query,
)
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.domain.cloud_events import CloudEvent, read_binary, read_structured
from engine.services.sending import send_events

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_CHARS_MAX = limits.EVENT_SOURCE_CHARS_MAX


class EventInput(InputSerializer):
    """A CloudEvent 1.0 in the JSON event format."""

    specversion = serializers.ChoiceField(choices=["1.0"])
    id = TextField(max_length=_CHARS_MAX, help_text="Unique for its `source`.")
    source = TextField(  # type: ignore[assignment]  # DRF takes fields off the class
        max_length=_CHARS_MAX, help_text="Where it happened, as a URI reference."
    )
    type = TextField(max_length=limits.EVENT_TYPE_CHARS_MAX, help_text="Such as `deploy.finished`.")
    subject = TextField(max_length=_CHARS_MAX, required=False, help_text="What it is about.")
    time = serializers.DateTimeField(required=False, help_text="When it happened.")
    datacontenttype = TextField(required=False, help_text="`application/json`.")
    data = serializers.DictField(  # type: ignore[assignment]  # DRF takes fields off the class
        required=False, default=dict, help_text="Its content, a JSON map."
    )


class EventQuery(InputSerializer):
    """Where events go."""

    project = TextField(help_text="Slug of the project.")


class SentEventSerializer(OutputSerializer):
    """An event that was taken."""

    id = serializers.UUIDField(source="event_id", help_text="Under which it is kept.")
    replayed = serializers.BooleanField(help_text="Whether it had been sent before.")


class SentEventsSerializer(OutputSerializer):
    """Events that were taken, in the order they were sent."""

    events = SentEventSerializer(many=True)


class StructuredParser(StrictJsonParser):
    """Reads one event in the JSON event format."""

    media_type = _STRUCTURED


class BatchParser(StrictJsonParser):
    """Reads a batch of events in the JSON event format."""

    media_type = _BATCH


class EventViewSet(ApiViewSet):
    """Events for the runs of a project."""

    parser_classes = (StructuredParser, BatchParser, StrictJsonParser)

    @operation(
        operation_id="events_send",
        summary="Send events",
        body=EventInput,
        query=EventQuery,
        answer=SentEventsSerializer,
        status=202,
        errors=(403, 404),
        headers=(
            OpenApiParameter(
                name="ce-id",
                location=OpenApiParameter.HEADER,
                type=str,
                description="In binary mode, with `ce-source`, `ce-type` and `ce-specversion`.",
            ),
        ),
    )
    def send(self, request: Request) -> Response:
        """Take CloudEvents 1.0 for the runs that wait for them and the triggers that hear them.

        Structured (`application/cloudevents+json`), a batch of up to 100
        (`application/cloudevents-batch+json`), all or none, or binary: attributes in `ce-…`
        headers and the data as an `application/json` body. Without those headers such a body is
        read as a structured event. Sending an event again with the same
        `source` and `id` changes nothing. An event is kept for a week for who waits later.
        """
        slug = read_query(request, EventQuery)["project"]
        taken = send_events(
            principal=principal_of(request), project_slug=slug, events=_read_events(request)
        )
        return Response(SentEventsSerializer({"events": taken}).data, status=202)


def _read_events(request: Request) -> list[CloudEvent]:
    """Return what the request sends. Raises: InputRefusedError, naming everything wrong."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if kind == _BATCH:
        return _read_batch(request.data)
    # Clients that only know `application/json` mean an event that is all in the body.
    body = request.data
    is_whole = isinstance(body, dict) and "specversion" in body
    is_plain = is_whole and "Ce-Specversion" not in request.headers
    if kind == _STRUCTURED or is_plain:
        found = read_structured(body)
    else:
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = read_binary(headers, body)
    if isinstance(found, CloudEvent):
        return [found]
    raise InputRefusedError(problems=found)


def _read_batch(value: object) -> list[CloudEvent]:
    most = limits.EVENT_BATCH_COUNT_MAX
    if not isinstance(value, list) or not 0 < len(value) <= most:
        problem = Problem(path="", message=f"A batch is a list of 1 to {most} events.")
        raise InputRefusedError(problems=[problem])
    read = [read_structured(item, path=f"/{index}") for index, item in enumerate(value)]
    problems = [problem for item in read if isinstance(item, list) for problem in item]
    if problems:
        raise InputRefusedError(problems=problems[: limits.PROBLEM_COUNT_MAX])
    return [item for item in read if isinstance(item, CloudEvent)]

"""The action `slack/post@1`: a message through an incoming webhook of Slack. Read `SPEC` first.

The address of a webhook is a secret, so definitions name it and the deployment knows it.
"""

from collections.abc import Mapping
from typing import Any, cast

from core.kernel.egress import parse_policy
from core.kernel.limits import HTTP_TIMEOUT_DEFAULT, SLACK_BLOCK_COUNT_MAX, SLACK_TEXT_CHARS_MAX
from core.kernel.types import Json, format_duration
from core.toolkit.outbound import GuardedClient, OutboundError, parse_target
from engine import conf
from engine.actions import http_request
from engine.actions.contract import (
    INVALID,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    recordable,
)


def post_message(call: ActionCall) -> Json:
    """Post `text`, and `blocks` if given, to the webhook that `SLACK_WEBHOOKS` names.

    In `text`, `&`, `<` and `>` are written as Slack wants them unless `markup` is true: a name
    that somebody typed makes no link and calls nobody.

    Returns:
        `{status}`, the HTTP status.

    Raises:
        ActionError: `invalid` for wrong arguments and a webhook there is not; `timeout`;
            `transient` when Slack cannot be reached, says "slow down" or fails; `permanent` when
            it refuses the message.
    """
    policy = parse_policy(conf.http_private_allowed())
    return post_with(call, client=GuardedClient(policy=policy))


def post_with(call: ActionCall, *, client: GuardedClient) -> Json:
    """Post with a client of the caller's. See `post_message`."""
    arguments = cast("Mapping[str, Any]", call.arguments)
    check_arguments(SPEC.input_validator, call.arguments)
    known = conf.slack_webhooks()
    name = arguments["webhook"]
    if name not in known:
        raise ActionError(
            INVALID, f"There is no webhook {name!r}; SLACK_WEBHOOKS of the deployment names them."
        )
    message: dict[str, Json] = {"text": _escape(arguments)}
    if "blocks" in arguments:
        message["blocks"] = arguments["blocks"]
    request: dict[str, Json] = {
        "method": "POST",
        "url": known[name],
        "json": message,
        "timeout": format_duration(HTTP_TIMEOUT_DEFAULT),
    }
    try:
        answer = http_request.send_with(
            ActionCall(arguments=request, attempt=call.attempt, mask=call.mask), client=client
        )
    except ActionError as error:
        hidden = _hide(error.message, url=known[name], name=name)
        raise ActionError(error.kind, hidden) from None
    return recordable({"status": cast("Mapping[str, Json]", answer)["status"]})


def _hide(message: str, *, url: str, name: str) -> str:
    """Return a message that names the webhook where it named its address, which is the secret."""
    try:
        label = parse_target(url).label
    except OutboundError:
        label = url
    return message.replace(label, f"webhook {name}").replace(url, f"webhook {name}")


def _escape(arguments: Mapping[str, Any]) -> str:
    """Return the text with Slack's control characters written out. Source: Slack, mrkdwn."""
    text: str = arguments["text"]
    if arguments.get("markup") is True:
        return text
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


SPEC = ActionSpec(
    name="slack/post",
    version=1,
    input_schema=object_schema(
        {
            "webhook": {"type": "string", "minLength": 1, "maxLength": 64},
            "text": {"type": "string", "minLength": 1, "maxLength": SLACK_TEXT_CHARS_MAX},
            "markup": {"type": "boolean"},
            "blocks": {
                "type": "array",
                "minItems": 1,
                "maxItems": SLACK_BLOCK_COUNT_MAX,
                "items": {"type": "object", "required": ["type"]},
            },
        },
        required=("webhook", "text"),
    ),
    output_schema=object_schema({"status": {"type": "integer"}}, required=("status",)),
    idempotent=False,
    pure=False,
    execute=post_message,
)

"""The action `ai/generate@1`: what a language model answers. Read `SPEC` first.

It drafts, and people decide: no approval may be decided by what it says.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK, Clock
from core.kernel.egress import parse_policy
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
from engine.conf import AiEndpoint
from engine.domain.flow.input_schema import BoundedValidator, check_schema
from engine.domain.generating import (
    Answer,
    Message,
    Prompt,
    Spent,
    allow_tokens,
    ask_again,
    count_bytes,
    make_messages,
    read_answer,
    read_json,
)
from engine.expressions import CelEvaluator

INVALID_ANSWER = "ai.invalid"
TOO_LONG = "ai.too-long"
COST = "ai.cost"

_EVALUATOR = CelEvaluator()
_OK, _TIMED_OUT, _TOO_MANY, _SERVER_ERROR = 200, 408, 429, 500
_EXCERPT_CHARS_MAX = 200
_FAULTS = {
    Fault.CONNECTION: TRANSIENT,
    Fault.TIMEOUT: TIMEOUT,
    Fault.DENIED: PERMANENT,
    Fault.TOO_LARGE: TOO_LONG,
    Fault.PROTOCOL: TRANSIENT,
    Fault.INVALID: INVALID,
}


def generate(call: ActionCall) -> Json:
    """Ask a model of an endpoint that `AI_ENDPOINTS` names, and check what it answers.

    The prompt is `prompt` or `messages`, with `system` in front. With a `schema` the answer must be
    JSON that meets it: one that does not is sent back with what is wrong, `repairs` times
    (once, if nothing is said). `max-tokens` bounds each answer. `max-cost`, in whole minor units,
    bounds the cost of all tries together by the endpoint's price; a question whose cost could be
    over it is not asked. Trying again costs again. It only drafts: an approval whose `if`, `when`
    or `exclude` reads it is refused.

    Returns:
        `{text, json, model, truncated, tokens, estimated, cost, messages, answers}`; `json` only
        with a `schema`, `cost` only of an endpoint with a price. `messages` is what was sent first,
        `answers` every answer as it came: both are on record, as they are in the `detail` of a
        failure.

    Raises:
        ActionError: `ai.invalid` for an answer that is not what was asked for, after all repairs;
            `ai.too-long` for one that was cut off before its JSON ended, or has too many bytes;
            `ai.cost`; `timeout`; `transient` when the endpoint cannot be reached or answers 429 or
            5xx; `permanent` when it refuses; `invalid` for wrong arguments and an endpoint or model
            there is not.
    """
    policy = parse_policy(conf.http_private_allowed())
    client = GuardedClient(policy=policy, answer_bytes_max=limits.AI_ANSWER_BYTES_MAX)
    return generate_with(call, client=client)


def generate_with(call: ActionCall, *, client: GuardedClient, clock: Clock = SYSTEM_CLOCK) -> Json:
    """Ask with a client of the caller's. See `generate`."""
    check_arguments(SPEC.input_validator, call.arguments)
    for parts, message in find_faults(call.arguments):
        raise ActionError(INVALID, f"with/{'/'.join(map(str, parts))}: {message}")
    endpoint = _endpoint(call.arguments)
    prompt = _prompt(call.arguments, endpoint)
    seconds = min(_seconds(call.arguments), call.attempt.timeout_seconds)
    asking = _Asking(
        prompt=prompt,
        endpoint=endpoint,
        client=client,
        clock=clock,
        ends=clock.monotonic() + seconds,
        cost_max=cast("int | None", call.arguments.get("max-cost")),
        mask=call.mask,
    )
    return asking.answer(repair_count=cast("int", call.arguments.get("repairs", 1)))


@dataclass(slots=True, kw_only=True)
class _Asking:
    """The tries of one attempt. `ends` is in the seconds of the clock."""

    prompt: Prompt
    endpoint: AiEndpoint
    client: GuardedClient
    clock: Clock
    ends: float
    cost_max: int | None
    mask: Mask
    spent: Spent = field(default_factory=Spent)
    answers: list[str] = field(default_factory=list)

    def answer(self, *, repair_count: int) -> Json:
        """Ask until the answer is what was asked for, at most so many times more."""
        more: tuple[Message, ...] = ()
        problems: list[str] = []
        for _ in range(repair_count + 1):
            answer = self._ask(more)
            if self.prompt.schema is None and answer.text:
                return self._result(answer)
            if answer.is_cut_off:
                raise self._failure(TOO_LONG, "The answer was cut off at its last token.")
            value, problems = self._judge(answer.text)
            if not problems:
                return self._result(answer, json=value)
            more = ask_again(answer.text, problems)
        raise self._failure(INVALID_ANSWER, f"The answer is not what was asked for: {problems[0]}")

    def _ask(self, more: Sequence[Message]) -> Answer:
        asked = count_bytes((*self.prompt.messages, *more))
        price = self.endpoint.price
        allowed = allow_tokens(
            self.prompt, asked=asked, cost_max=self.cost_max, spent=self.spent, price=price
        )
        if allowed < 1:
            raise self._failure(COST, f"It could cost more than {self.cost_max} minor units.")
        found = read_answer(
            self._read(self._send(self.prompt.body(token_count_max=allowed, more=more)))
        )
        if found is None:
            raise self._failure(INVALID_ANSWER, "The endpoint's answer is no chat completion.")
        self.spent = self.spent.add(found, asked=asked, allowed=allowed, price=price)
        self.answers.append(self._hide(found.text))
        return found

    def _send(self, body: Mapping[str, Any]) -> OutboundAnswer:
        headers = [("Content-Type", "application/json"), ("User-Agent", "countersign")]
        if self.endpoint.key:
            headers.append(("Authorization", f"Bearer {self.endpoint.key}"))
        left = self.ends - self.clock.monotonic()
        if left <= 0:
            raise self._failure(TIMEOUT, "The time allowed for the answers ran out.")
        try:
            answer = self.client.send(
                OutboundRequest(
                    method="POST",
                    target=parse_target(f"{self.endpoint.url}/chat/completions"),
                    headers=headers,
                    body=json.dumps(body).encode(),
                    timeout_seconds=left,
                )
            )
        except OutboundError as error:
            raise self._failure(_FAULTS[error.fault], error.message) from error
        if answer.status != _OK:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: OutboundAnswer) -> ActionError:
        said = f"The endpoint answered {answer.status}"
        if "retry-after" in answer.headers:
            said += f" and asks to wait {answer.headers['retry-after'][:40]} s"
        excerpt = self._hide(answer.body.decode("utf-8", "replace"))
        if excerpt.strip():
            said += f": {excerpt[:_EXCERPT_CHARS_MAX]}"
        if answer.status == _TIMED_OUT:
            return self._failure(TIMEOUT, said)
        passing = answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR
        return self._failure(TRANSIENT if passing else PERMANENT, said)

    def _read(self, answer: OutboundAnswer) -> Any:
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            return None

    def _judge(self, text: str) -> tuple[Json, list[str]]:
        """Return the value of an answer, and what is wrong with it."""
        schema = self.prompt.schema
        if schema is None:
            return None, ["it is empty"]
        try:
            value = recordable(read_json(self._hide(text)))
        except ValueError as error:
            return None, [f"it is no JSON: {error}"]
        except ActionError as error:
            return None, [error.message]
        validator = BoundedValidator(schema, evaluator=_EVALUATOR)
        errors = sorted(validator.iter_errors(value), key=lambda error: error.json_path)
        return value, [f"{error.json_path}: {error.message}" for error in errors]

    def _result(self, answer: Answer, **more: Json) -> Json:
        text = self._hide(answer.text)
        return recordable({**self._record(), "text": text, "truncated": answer.is_cut_off, **more})

    def _record(self) -> dict[str, Json]:
        """Return what was sent and answered, and what it cost."""
        return {
            "model": self.prompt.model,
            "messages": [dict(item) for item in self.prompt.messages],
            "answers": list(self.answers),
            **self.spent.as_json(self.endpoint.price),
        }

    def _failure(self, kind: str, message: str) -> ActionError:
        return ActionError(kind, self._hide(message), detail=recordable(self._record()))

    def _hide(self, text: str) -> str:
        """Return a text without the key and other secrets, which an endpoint may say back."""
        key = self.endpoint.key
        cleaned = self.mask.text(text.encode("utf-8", "replace").decode("utf-8"))
        return cleaned.replace(key, "…") if key else cleaned


def find_faults(arguments: Mapping[str, Json]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what the schema of the arguments cannot say."""
    if ("prompt" in arguments) == ("messages" in arguments):
        yield (), "Give either `prompt` or `messages`."
    schema = arguments.get("schema")
    if isinstance(schema, dict) and "${{" not in json.dumps(schema):
        for fault in check_schema(schema, path="", evaluator=_EVALUATOR):
            if not fault.is_warning:
                yield ("schema",), f"{fault.path or '/'}: {fault.message}"
    elif "schema" in arguments:
        yield ("schema",), "Write the schema here, so that it can be checked."
    timeout = arguments.get("timeout")
    if isinstance(timeout, str) and "${{" not in timeout and not parse_duration(timeout):
        yield ("timeout",), "Write a duration such as PT2M."


def _endpoint(arguments: Mapping[str, Json]) -> AiEndpoint:
    name = arguments["endpoint"]
    endpoint = conf.ai_endpoints().get(str(name))
    if endpoint is None:
        raise ActionError(
            INVALID, f"There is no endpoint {name!r}; AI_ENDPOINTS of the deployment names them."
        )
    if "max-cost" in arguments and endpoint.price is None:
        raise ActionError(
            INVALID, f"The endpoint {name!r} has no price, so `max-cost` says nothing."
        )
    return endpoint


def _prompt(arguments: Mapping[str, Any], endpoint: AiEndpoint) -> Prompt:
    model = arguments.get("model", endpoint.models[0])
    if model not in endpoint.models:
        raise ActionError(
            INVALID, f"There is no model {model!r} at the endpoint {arguments['endpoint']!r}."
        )
    prompt = Prompt(
        model=model,
        messages=make_messages(arguments),
        schema=arguments.get("schema"),
        token_count_max=arguments.get("max-tokens", limits.AI_ANSWER_TOKEN_COUNT_DEFAULT),
        temperature_permille=arguments.get("temperature-permille"),
        answer_format=endpoint.answer_format,
    )
    size = count_bytes(prompt.messages)
    if size > limits.AI_PROMPT_BYTES_MAX:
        raise ActionError(
            INVALID, f"The prompt has {size} bytes; at most {limits.AI_PROMPT_BYTES_MAX} are sent."
        )
    return prompt


def _seconds(arguments: Mapping[str, Any]) -> float:
    if "timeout" not in arguments:
        return limits.AI_SECONDS_DEFAULT
    timeout = parse_duration(arguments["timeout"])
    if timeout is None or timeout.total_seconds() <= 0:
        raise ActionError(INVALID, f"with/timeout: {arguments['timeout']!r} is no duration.")
    return timeout.total_seconds()


_TEXT = {"type": "string", "minLength": 1, "maxLength": limits.AI_PROMPT_BYTES_MAX}

SPEC = ActionSpec(
    name="ai/generate",
    version=1,
    input_schema=object_schema(
        {
            "endpoint": {"type": "string", "minLength": 1, "maxLength": 64},
            "model": {"type": "string", "minLength": 1, "maxLength": 200},
            "prompt": _TEXT,
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": limits.AI_MESSAGE_COUNT_MAX,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["role", "content"],
                    "properties": {
                        "role": {"enum": ["system", "user", "assistant"]},
                        "content": _TEXT,
                    },
                },
            },
            "system": _TEXT,
            "schema": {"type": "object"},
            "max-tokens": {
                "type": "integer",
                "minimum": 1,
                "maximum": limits.AI_ANSWER_TOKEN_COUNT_MAX,
            },
            "max-cost": {"type": "integer", "minimum": 1, "maximum": 10**9},
            "temperature-permille": {"type": "integer", "minimum": 0, "maximum": 2_000},
            "repairs": {"type": "integer", "minimum": 0, "maximum": limits.AI_REPAIR_COUNT_MAX},
            "timeout": {"type": "string", "maxLength": 40},
        },
        required=("endpoint",),
    ),
    output_schema=object_schema(
        {
            "text": {"type": "string"},
            "json": True,
            "model": {"type": "string"},
            "truncated": {"type": "boolean"},
            "tokens": {"type": "object"},
            "estimated": {"type": "boolean"},
            "cost": {"type": "object"},
            "messages": {"type": "array"},
            "answers": {"type": "array"},
        },
        required=("text", "model", "truncated", "tokens", "estimated", "messages", "answers"),
    ),
    idempotent=False,
    pure=False,
    execute=generate,
    find_faults=find_faults,
)

"""What a model is asked, what its answer is worth, and what it costs. Read `Prompt`. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.kernel.types import Json

Message = Mapping[str, str]

MILLION: Final = 1_000_000
_FENCE: Final = "```"
_PROBLEM_COUNT_MAX: Final = 10  # that a model is told of at once
_PROBLEM_CHARS_MAX: Final = 200
_COUNT_MAX: Final = 10**9  # a number of tokens over this is nonsense


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What tokens cost: whole minor units of the currency for a million of them."""

    input: int
    output: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is asked. `schema` is the JSON Schema its answer must meet, `None` for text."""

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None
    token_count_max: int
    temperature_permille: int | None
    answer_format: str

    def body(self, *, token_count_max: int, more: Sequence[Message] = ()) -> dict[str, Any]:
        """Return the request's body; `more` are the messages of later tries."""
        made: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(item) for item in (*self.messages, *more)],
            "max_tokens": token_count_max,
            "stream": False,
        }
        if self.temperature_permille is not None:
            made["temperature"] = self.temperature_permille / 1_000
        if self.schema is not None and self.answer_format == "json_object":
            made["response_format"] = {"type": "json_object"}
        elif self.schema is not None and self.answer_format == "json_schema":
            named = {"name": "answer", "schema": dict(self.schema)}
            made["response_format"] = {"type": "json_schema", "json_schema": named}
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of a model. A token count is `None` where the endpoint does not say it."""

    text: str
    is_cut_off: bool
    input_count: int | None
    output_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What several requests used. `millionths` are those of a minor unit, exact.

    `is_estimated`: an endpoint did not say how many tokens, so the most they can be is counted.
    """

    input_count: int = 0
    output_count: int = 0
    millionths: int = 0
    is_estimated: bool = False

    def add(self, answer: Answer, *, asked: int, allowed: int, price: Price | None) -> "Spent":
        """Return the sum with one more request: of `asked` bytes, of `allowed` tokens at most."""
        estimated = answer.input_count is None or answer.output_count is None
        inputs = asked if answer.input_count is None else answer.input_count
        outputs = allowed if answer.output_count is None else answer.output_count
        cost = 0 if price is None else inputs * price.input + outputs * price.output
        return Spent(
            input_count=self.input_count + inputs,
            output_count=self.output_count + outputs,
            millionths=self.millionths + cost,
            is_estimated=self.is_estimated or estimated,
        )

    def as_json(self, price: Price | None) -> dict[str, Json]:
        """Return the form in which it is recorded; a cost is rounded up to a minor unit."""
        said: dict[str, Json] = {
            "tokens": {"input": self.input_count, "output": self.output_count},
            "estimated": self.is_estimated,
        }
        if price is not None:
            said["cost"] = {
                "currency": price.currency,
                "minor-units": -(-self.millionths // MILLION),
                "millionths": self.millionths,
            }
        return said


def make_messages(arguments: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the messages of the arguments, with what the answer must be in front."""
    system = [arguments["system"]] if arguments.get("system") else []
    if "schema" in arguments:
        written = json.dumps(arguments["schema"], ensure_ascii=False, sort_keys=True)
        system.append(
            "Answer with one JSON value and nothing else: no explanation, no code fence. It must "
            f"meet this JSON Schema: {written}"
        )
    head: list[Message] = [{"role": "system", "content": "\n\n".join(system)}] if system else []
    if "messages" in arguments:
        return (*head, *arguments["messages"])
    return (*head, {"role": "user", "content": arguments["prompt"]})


def count_bytes(messages: Sequence[Message]) -> int:
    """Return the size of messages, UTF-8: no tokenizer makes more tokens of them."""
    return sum(len(item["content"].encode("utf-8", "replace")) + 8 for item in messages)


def allow_tokens(
    prompt: Prompt, *, asked: int, cost_max: int | None, spent: Spent, price: Price | None
) -> int:
    """Return how many tokens a model may answer with, so that the cost stays in its bound.

    Args:
        prompt: what is asked.
        asked: bytes of its messages.
        cost_max: in minor units; `None` is no bound.
        spent: by the tries before.
        price: of the endpoint; needed for a bound.

    Returns:
        0 or less, if not even the question may be asked.
    """
    if cost_max is None or price is None:
        return prompt.token_count_max
    left = cost_max * MILLION - spent.millionths - asked * price.input
    if left < 0:
        return 0
    return (
        min(prompt.token_count_max, left // price.output)
        if price.output
        else (prompt.token_count_max)
    )


def read_answer(body: Any) -> Answer | None:
    """Return what an endpoint answered; `None`, if it is no chat completion.

    Source: OpenAI, "Create chat completion".
    """
    try:
        choice = body["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return None
    usage = body.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Answer(
        text=text if isinstance(text, str) else "",
        is_cut_off=choice.get("finish_reason") == "length",
        input_count=_count(usage.get("prompt_tokens")),
        output_count=_count(usage.get("completion_tokens")),
    )


def read_json(text: str) -> Json:
    """Return the JSON value of an answer, also out of a code fence. Raises: ValueError."""
    stripped = text.strip()
    if stripped.startswith(_FENCE) and stripped.endswith(_FENCE):
        stripped = stripped.removesuffix(_FENCE).partition("\n")[2]
    try:
        found: Json = json.loads(stripped, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return found


def ask_again(answer: str, problems: Sequence[str]) -> tuple[Message, ...]:
    """Return the messages that tell a model what is wrong with its answer."""
    listed = "\n".join(f"- {item[:_PROBLEM_CHARS_MAX]}" for item in problems[:_PROBLEM_COUNT_MAX])
    said = f"That is not what was asked for:\n{listed}\nAnswer again, with the JSON value only."
    return ({"role": "assistant", "content": answer}, {"role": "user", "content": said})


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _COUNT_MAX else None

"""A model is asked and its answer checked, through a server that stands in for it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from core.kernel import limits
from core.kernel.egress import EgressPolicy, parse_policy
from core.kernel.types import Json
from core.toolkit.outbound import GuardedClient
from engine.actions.ai_generate import SPEC, find_faults, generate, generate_with
from engine.actions.contract import ActionCall, ActionError
from tests.fakes.model import completion, standing_in

KEY = "sk-do-not-tell"
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
PRICE = {"input": 1_000_000, "output": 2_000_000, "currency": "EUR"}


@pytest.fixture
def model(settings):
    for model in standing_in():
        settings.AI_ENDPOINTS = {
            "main": {
                "url": model.url,
                "models": ["small", "large"],
                "key": KEY,
                "price": PRICE,
                "format": "json_object",
            }
        }
        yield model


@pytest.fixture
def ask(attempt):
    def ask(*, policy=None, seconds=None, **arguments):
        given = {"endpoint": "main", **({} if "messages" in arguments else {"prompt": "Hello"})}
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        client = GuardedClient(
            policy=policy or parse_policy(["127.0.0.1"]),
            answer_bytes_max=limits.AI_ANSWER_BYTES_MAX,
        )
        mine = attempt if seconds is None else replace(attempt, timeout_seconds=seconds)
        return generate_with(ActionCall(arguments={**given, **named}, attempt=mine), client=client)

    return ask


@pytest.fixture
def refused(ask):
    def refused(**arguments):
        with pytest.raises(ActionError) as caught:
            ask(**arguments)
        return caught.value

    return refused


def test_a_text_is_asked_for_and_everything_is_told(ask, model):
    model.says("Good day.")

    made = ask(system="Be kind.", max_tokens=50, temperature_permille=250)

    assert model.asked == [
        {
            "model": "small",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hello"},
            ],
            "max_tokens": 50,
            "temperature": 0.25,
            "stream": False,
        }
    ]
    assert model.site.received[0].headers["authorization"] == f"Bearer {KEY}"
    assert made == {
        "text": "Good day.",
        "model": "small",
        "truncated": False,
        "messages": model.asked[0]["messages"],
        "answers": ["Good day."],
        "tokens": {"input": 10, "output": 5},
        "estimated": False,
        "cost": {"currency": "EUR", "minor-units": 20, "millionths": 20_000_000},
    }
    assert KEY not in json.dumps(made)


def test_what_was_said_before_is_sent_as_it_is(ask, model):
    model.says("ok")
    before = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

    ask(messages=before, model="large")

    assert model.asked[0]["messages"] == before
    assert model.asked[0]["model"] == "large"


@pytest.mark.parametrize("text", ['{"n": 3}', ' {"n": 3}\n', '```json\n{"n": 3}\n```'])
def test_an_answer_that_meets_the_schema_is_given_as_a_value(text, ask, model):
    model.says(text)

    made = ask(schema=SCHEMA)

    assert (made["json"], made["text"]) == ({"n": 3}, text)
    assert model.asked[0]["response_format"] == {"type": "json_object"}
    assert '"required": ["n"]' in model.asked[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ("text", None),
        ("json_object", {"type": "json_object"}),
        (
            "json_schema",
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        ),
    ],
)
def test_an_endpoint_is_told_of_json_in_its_own_way(form, sent, ask, model, settings):
    settings.AI_ENDPOINTS["main"]["format"] = form
    model.says('{"n": 3}')

    ask(schema=SCHEMA)

    assert model.asked[0].get("response_format") == sent


@pytest.mark.parametrize(
    "nonsense", ["I am sorry", '{"n": "three"}', "", '{"n": NaN}', "[" * 3_000]
)
def test_nonsense_is_sent_back_once_with_what_is_wrong(nonsense, ask, model):
    model.says(nonsense, '{"n": 3}')

    made = ask(schema=SCHEMA)

    assert made["json"] == {"n": 3}
    assert made["answers"] == [nonsense, '{"n": 3}']
    assert made["tokens"] == {"input": 20, "output": 10}
    (*_, answered, told) = model.asked[1]["messages"]
    assert answered == {"role": "assistant", "content": nonsense}
    assert "not what was asked for" in told["content"]


def test_a_model_that_goes_on_with_nonsense_fails_and_is_on_record(refused, model):
    model.says("no", "never")

    error = refused(schema=SCHEMA)

    assert error.kind == "ai.invalid"
    assert error.detail["answers"] == ["no", "never"]
    assert error.detail["messages"][-1] == {"role": "user", "content": "Hello"}
    assert error.detail["cost"]["minor-units"] == 40
    assert len(model.asked) == 2


def test_nothing_is_repaired_if_the_step_says_so(refused, model):
    model.says("no")

    assert refused(schema=SCHEMA, repairs=0).kind == "ai.invalid"
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"choices": []}', b"[]", b'{"choices": [{"message": 3}]}']
)
def test_what_is_no_chat_completion_is_refused(body, refused, model):
    model.sends(body)

    error = refused()

    assert (error.kind, error.detail["answers"]) == ("ai.invalid", [])


def test_an_empty_answer_is_none(refused, model):
    model.sends(json.dumps(completion(None)).encode())

    assert refused().kind == "ai.invalid"


def test_an_answer_that_is_cut_off_says_so(ask, refused, model):
    model.says("Once upon", finish="length")
    assert ask()["truncated"] is True

    model.left.clear()
    model.says('{"n":', finish="length")
    assert refused(schema=SCHEMA).kind == "ai.too-long"


def test_an_answer_of_too_many_bytes_is_not_read(refused, model):
    model.says("x" * (limits.AI_ANSWER_BYTES_MAX + 1))

    assert refused().kind == "ai.too-long"


def test_a_model_that_never_answers_runs_out_of_time(refused, model):
    model.hangs()

    assert refused(timeout="PT0.3S").kind == "timeout"
    assert refused(seconds=0.3).kind == "timeout"


@pytest.mark.parametrize(
    ("status", "headers", "kind", "said"),
    [
        (429, {"retry_after": "7"}, "transient", "asks to wait 7 s"),
        (500, {}, "transient", "answered 500"),
        (503, {"retry_after": "2"}, "transient", "asks to wait 2 s"),
        (408, {}, "timeout", "answered 408"),
        (400, {}, "permanent", "answered 400"),
        (401, {}, "permanent", "answered 401"),
        (302, {"location": "http://127.0.0.1:1/"}, "permanent", "answered 302"),
    ],
)
def test_a_refusal_says_whether_trying_again_may_help(status, headers, kind, said, refused, model):
    model.sends(f"bad key {KEY}".encode(), status=status, **headers)

    error = refused()

    assert error.kind == kind
    assert said in error.message
    assert KEY not in error.message + json.dumps(error.detail)


def test_a_key_that_an_answer_says_back_is_kept_nowhere(ask, model):
    model.says(json.dumps({"n": 3, "key": KEY}))

    made = ask(schema={"type": "object"})

    assert made["json"] == {"n": 3, "key": "…"}
    assert KEY not in json.dumps(made)


def test_a_cost_that_could_be_over_its_bound_is_not_spent(refused, ask, model):
    model.says("ok")

    error = refused(max_cost=12)  # the question alone is 13 bytes, one unit each at most
    assert (error.kind, model.asked) == ("ai.cost", [])

    ask(max_cost=19)
    assert model.asked[0]["max_tokens"] == 3  # (19 - 13) / 2


def test_a_repair_stays_in_the_bound_of_the_cost_too(refused, model):
    model.says("no")

    error = refused(schema=SCHEMA, max_cost=300)

    assert error.kind == "ai.cost"
    assert len(model.asked) == 1
    assert error.detail["answers"] == ["no"]


def test_tokens_nobody_counted_are_counted_as_the_most_they_can_be(ask, model):
    model.says("ok", usage=None)

    made = ask(max_tokens=7)

    assert (made["tokens"], made["estimated"]) == ({"input": 13, "output": 7}, True)


def test_an_endpoint_without_a_price_has_no_cost(ask, refused, model, settings):
    settings.AI_ENDPOINTS["main"]["price"] = None
    model.says("ok")

    assert "cost" not in ask()
    assert refused(max_cost=5).kind == "invalid"


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint": "other"},
        {"model": "huge"},
        {"prompt": "x" * limits.AI_PROMPT_BYTES_MAX},
        {"messages": [{"role": "user", "content": "a"}], "prompt": "b"},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"max_tokens": 0},
        {"max_tokens": limits.AI_ANSWER_TOKEN_COUNT_MAX + 1},
        {"temperature_permille": 2_001},
        {"repairs": 3},
        {"timeout": "soon"},
        {"schema": {"type": "array"}},
        {"schema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
    ],
)
def test_wrong_arguments_ask_nobody(arguments, refused, model):
    assert refused(**arguments).kind == "invalid"
    assert model.asked == []


def test_an_address_that_is_not_allowed_is_not_asked(refused, model):
    assert refused(policy=EgressPolicy()).kind == "permanent"
    assert model.asked == []


def test_a_schema_is_written_and_not_made_of_data():
    made_of_data: list[Json] = [
        "${{ inputs.s }}",
        {"type": "object", "required": ["${{ inputs.s }}"]},
    ]
    for schema in made_of_data:
        faults = list(find_faults({"endpoint": "m", "prompt": "a", "schema": schema}))

        assert faults == [(("schema",), "Write the schema here, so that it can be checked.")]


def test_the_action_asks_with_the_client_of_the_deployment(model, settings, attempt):
    settings.HTTP_PRIVATE_ALLOWED = ["127.0.0.1"]
    model.says("ok")

    made: Any = generate(ActionCall(arguments={"endpoint": "main", "prompt": "a"}, attempt=attempt))

    assert made["text"] == "ok"
    assert SPEC.idempotent is SPEC.pure is False

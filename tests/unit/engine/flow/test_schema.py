"""The language's schema says what the code does, and the reference says what the schema does."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from approvals.domain import block as approval_block
from approvals.verbs import ApprovalVerb
from core.kernel import limits
from core.kernel.types import format_duration, parse_duration
from engine.domain import machine
from engine.domain.flow.problems import Code
from engine.domain.flow.reference import render_reference
from engine.domain.flow.samples import SAMPLES
from engine.domain.flow.schema import language_schema, resolve
from engine.domain.flow.shape import kind_of
from engine.domain.keys import BODIES
from engine.domain.plan import AfterError, Backoff, Join, Kind, On, Retry
from engine.domain.state import Outcome
from engine.domain.verbs import WaitOutcome
from tests.fakes.flow import compile_text

ROOT = Path(__file__).parents[4]
SCHEMA = language_schema()
PARTS = SCHEMA["$defs"]
STEP = PARTS["step"]["properties"]
APPROVAL = PARTS["approval"]


def schemas(value, path=""):
    """Yield every schema inside a schema."""
    yield path, value
    for key in ("properties", "$defs"):
        for name, inner in value.get(key, {}).items():
            yield from schemas(inner, f"{path}/{key}/{name}")
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(value.get(key), dict):
            yield from schemas(value[key], f"{path}/{key}")


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_every_key_has_a_description():
    for path, schema in schemas(SCHEMA):
        for name, part in schema.get("properties", {}).items():
            assert resolve(part).get("description"), f"{path}/{name}"


def test_no_key_is_both_known_and_of_a_later_version():
    for path, schema in schemas(SCHEMA):
        known = {*schema.get("properties", {}), *schema.get("enum", ())}
        assert not known.intersection(schema.get("x-later", ())), path


def test_the_choices_are_those_of_the_plan():
    retry = PARTS["retry"]["properties"]
    words, count = STEP["join"]["anyOf"]
    assert {*words["enum"], *resolve(count)["required"]} == {item.value for item in Join}
    then = STEP["on-error"]["properties"]["then"]["enum"]
    assert set(then) == {item.value for item in AfterError}
    assert retry["backoff"]["enum"] == [item.value for item in Backoff]
    assert SCHEMA["properties"]["kind"]["enum"] == [item.value for item in Kind]
    answers = [option["required"][0] for option in PARTS["transition"]["oneOf"]]
    assert answers == [item.value for item in On]
    outcomes = PARTS["transition"]["properties"]["on-outcome"]
    assert {item.value for item in WaitOutcome} <= {*outcomes["enum"], *outcomes["x-later"]}
    assert set(PARTS["state"]["properties"]["result"]["enum"]) <= {item.value for item in Outcome}


def test_the_bounds_and_defaults_are_those_of_the_code():
    retry, standard = PARTS["retry"]["properties"], Retry()
    assert retry["max"]["maximum"] == limits.ATTEMPT_COUNT_MAX
    assert retry["max"]["default"] == standard.retries_max
    assert retry["backoff"]["default"] == standard.backoff
    assert retry["initial"]["default"] == f"PT{standard.initial_seconds:g}S"
    assert parse_duration(retry["max-delay"]["default"]) == timedelta(seconds=300)
    assert standard.delay_seconds_max == 300.0
    assert retry["jitter"]["default"] == standard.jitter
    assert tuple(retry["errors"]["default"]) == standard.errors
    assert PARTS["attemptTimeout"]["default"] == format_duration(limits.STEP_TIMEOUT_DEFAULT)
    assert PARTS["expression"]["maxLength"] == limits.EXPRESSION_CHARS_MAX
    assert PARTS["line"]["maxLength"] == limits.REQUEST_LINE_CHARS_MAX
    assert SCHEMA["properties"]["name"]["maxLength"] == limits.SLUG_CHARS_MAX
    assert SCHEMA["properties"]["title"]["maxLength"] == limits.TITLE_CHARS_MAX
    assert APPROVAL["properties"]["stages"]["maxItems"] == limits.STAGE_COUNT_MAX
    assert APPROVAL["properties"]["exclude"]["maxItems"] == limits.EXCLUSION_COUNT_MAX
    assert PARTS["names"]["maxItems"] == limits.APPROVER_NAME_COUNT_MAX
    count = PARTS["stage"]["properties"]["quorum"]["properties"]["count"]
    assert count["maximum"] == limits.QUORUM_COUNT_MAX


def test_the_bounds_of_steps_and_states_are_those_of_the_code():
    assert PARTS["steps"]["maxProperties"] == limits.STEP_COUNT_MAX
    assert SCHEMA["properties"]["states"]["maxProperties"] == limits.STATE_COUNT_MAX
    assert STEP["race"]["maxItems"] == limits.RACE_BRANCH_COUNT_MAX
    assert STEP["rate"]["properties"]["limit"]["maximum"] == limits.RATE_COUNT_MAX
    failures = STEP["circuit"]["properties"]["failures"]
    assert failures["maximum"] == limits.CIRCUIT_FAILURE_COUNT_MAX
    assert PARTS["enough"]["properties"]["count"]["maximum"] == limits.MAP_ITEM_COUNT_MAX
    mapped, strategy = PARTS["map"]["properties"], PARTS["strategy"]["properties"]
    assert mapped["max-concurrency"]["maximum"] == limits.MAP_ITEM_COUNT_MAX
    number, named = mapped["tolerate-failures"]["anyOf"]
    assert number["maximum"] == limits.MAP_ITEM_COUNT_MAX
    assert named["properties"]["count"]["maximum"] == limits.MAP_ITEM_COUNT_MAX
    assert strategy["matrix"]["maxProperties"] == limits.MATRIX_AXIS_COUNT_MAX
    axis = strategy["matrix"]["additionalProperties"]["anyOf"][0]
    assert axis["maxItems"] == limits.MATRIX_CELL_COUNT_MAX
    assert strategy["exclude"]["maxItems"] == limits.MATRIX_CELL_COUNT_MAX
    assert strategy["max-parallel"]["maximum"] == limits.MATRIX_CELL_COUNT_MAX
    turns = PARTS["loop"]["properties"]["max-iterations"]
    assert turns["maximum"] == limits.LOOP_TURN_COUNT_MAX
    assert PARTS["correlate"]["maxProperties"] == limits.CORRELATE_COUNT_MAX
    assert PARTS["eventType"]["maxLength"] == limits.EVENT_TYPE_CHARS_MAX
    assert PARTS["emit"]["properties"]["type"]["maxLength"] == limits.EVENT_TYPE_CHARS_MAX
    assert PARTS["queue"]["pattern"].endswith(f"{{0,{limits.QUEUE_CHARS_MAX - 1}}}$")
    state = PARTS["state"]["properties"]
    assert state["transitions"]["maxItems"] == limits.TRANSITION_COUNT_MAX
    assert state["events"]["maxItems"] == limits.STATE_EVENT_COUNT_MAX


def test_branches_and_states_take_over_what_steps_say():
    beside_needs = {"needs", "if", "join", "on-error"}
    shared = {key: {"$ref": f"#/$defs/step/properties/{key}"} for key in {*STEP} - beside_needs}
    step = PARTS["step"]
    for name, own in (
        ("branch", {"id"}),
        ("state", {"transitions", "events", "stuck", "final", "result"}),
    ):
        part = PARTS[name]
        properties = part["properties"]
        assert {key: properties[key] for key in properties.keys() - own} == shared
        for rules in ("dependentRequired", "dependentSchemas"):
            wanted = {key: rule for key, rule in step[rules].items() if key not in beside_needs}
            assert {**part[rules], "result": 0} == {**wanted, "result": 0}
        assert part["oneOf"][: len(step["oneOf"])] == step["oneOf"]


def test_no_step_may_have_a_name_that_keys_of_runs_use_themselves():
    words = set(PARTS["fieldName"]["not"]["enum"])

    assert set(PARTS["stepId"]["not"]["enum"]) == words | BODIES | {machine._LISTENER}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.keys[0])
def test_every_example_of_the_reference_compiles(sample):
    compilation = compile_text(sample.definition, verb=ApprovalVerb())

    assert compilation.plan is not None, compilation.problems
    assert compilation.problems == ()


def test_every_verb_and_every_modifier_has_an_example_that_holds_it():
    shown = {key for sample in SAMPLES for key in sample.keys}
    own = PARTS["state"]["properties"].keys() - STEP.keys()

    assert shown == {*STEP, *own, "concurrency"}
    for sample in SAMPLES:
        for key in sample.keys:
            assert f"{key}:" in sample.text


def test_the_approval_block_is_that_of_approvals():
    assert sorted(APPROVAL["properties"]) == sorted(approval_block.KEYS)
    assert sorted(APPROVAL["x-later"]) == sorted(approval_block.KEYS_LATER)
    assert APPROVAL["properties"]["kind"]["enum"] == list(approval_block.KINDS)
    outcomes = APPROVAL["properties"]["outcomes"]["items"]
    assert outcomes["enum"] == list(approval_block.OUTCOMES)
    assert outcomes["x-later"] == list(approval_block.OUTCOMES_LATER)
    assert WaitOutcome.APPROVED.startswith(outcomes["enum"][0])


@given(
    text=st.from_regex(r"P[0-9WDTHMS.]{0,12}", fullmatch=True)
    | st.text("PTDHMSW0123456789.", max_size=8)
)
def test_a_duration_is_the_same_to_the_schema_and_to_the_code(text):
    found = re.search(PARTS["duration"]["pattern"], text)

    assert (found is not None) == (parse_duration(text) is not None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (False, "`false`"),
        (1, "a whole number"),
        (1.5, "a number"),
        ("", "a text"),
        ([], "a list"),
        ({}, "a map"),
    ],
)
def test_a_kind_has_a_name(value, words):
    assert kind_of(value) == words


def test_writing_the_reference_again_changes_nothing():
    written = (ROOT / "docs/reference/flow.md").read_text(encoding="utf-8")

    assert render_reference() == written, "run manage.py write_flow_reference"


def test_the_reference_has_every_key_and_every_code():
    page = render_reference()

    for code in Code:
        assert f"| `{code}` |" in page
    for _, schema in schemas(SCHEMA):
        for name in schema.get("properties", {}):
            assert f"{name}`" in page
        for name in schema.get("x-later", ()):
            assert f"`{name}`" in page

"""CEL behind its port: values, errors that stay errors, and the traps of the library."""

import subprocess
import sys
import threading
import time
from types import MappingProxyType
from typing import Any

import pytest
from immutables import Map

from core.kernel import limits
from core.kernel.record import ActorKind
from engine.domain.expressions import RUN_NAMES, TOO_LARGE, ExpressionError
from engine.expressions import CelEvaluator

VARIABLES = {
    "inputs": {
        "env": "production",
        "amount": 5,
        "share": 0.5,
        "whole": 5.0,
        "flag": True,
        "nothing": None,
        "list": [3, 1, 2],
        "hosts": [{"name": "a"}, {"name": "b"}],
        "tags": {"b": 1, "a": 2},
        "a-b": "dashed",
    },
    "vars": {},
    "steps": {"scan": {"outcome": "succeeded", "outputs": {"critical": 0}}},
    "run": {"id": "r1"},
}


@pytest.fixture(scope="module")
def evaluator():
    return CelEvaluator()


def reason_of(call, *arguments, **named):
    with pytest.raises(ExpressionError) as caught:
        call(*arguments, **named)
    return caught.value.reason


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("inputs.env", "production"),
        ("inputs['a-b']", "dashed"),
        ("inputs.`a-b`", "dashed"),
        (".inputs.amount", 5),
        ("inputs.list[0]", 3),
        ("inputs.hosts[1].name", "b"),
        ("inputs.list", [3, 1, 2]),
        ("inputs.tags", {"a": 2, "b": 1}),
        ("inputs.nothing", None),
        ("inputs.share", 0.5),
        ("inputs.amount + 1", 6),
        ("inputs.env + '!'", "production!"),
        ("steps.scan.outputs.critical > 0 ? 'high' : 'medium'", "medium"),
        ("[inputs.amount, inputs.env, null]", [5, "production", None]),
        ("{'b': 1, 'a': {'x': true}}", {"a": {"x": True}, "b": 1}),
        ("1u", 1),
        ("timestamp('2026-01-02T03:04:05+01:00')", "2026-01-02T02:04:05Z"),
        ("[duration('90s')]", ["PT1M30S"]),
        ("inputs.list.map(x, x * 2)", [6, 2, 4]),
        ("inputs.hosts.map(host, host.name)", ["a", "b"]),
        ("inputs.hosts.filter(h, h.name == 'b').map(h, h.name)", ["b"]),
        ("inputs.list.exists(x, x == 2)", True),
        ("inputs.tags.exists(key, key == 'a')", True),
        ("9007199254740991", 2**53 - 1),
        ("'😀'.size()", 1),
        ("inputs.env // the target", "production"),
    ],
)
def test_an_expression_has_a_json_value(evaluator, expression, expected):
    value = evaluator.evaluate(expression, VARIABLES)

    assert value == expected
    assert type(value) is type(expected)


def test_maps_come_out_in_the_order_of_their_keys(evaluator):
    value = evaluator.evaluate("{'c': 1, 'a': 1, 'b': 1}", VARIABLES)

    assert list(value) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("b'abc'", "JSON cannot hold bytes"),
        ("[b'abc']", "JSON cannot hold bytes"),
        ("type(1)", "JSON cannot hold a type"),
        ("duration('-5s')", "JSON cannot hold a negative duration"),
        ("{1: 2}", "a map has a key that is no text"),
        ("9007199254740992", "the integer is over 2^53-1"),
        ("0.0 / 0.0", "the number is not finite"),
        ("1.0 / 0.0", "the number is not finite"),
        ("'a\\u0000b'", "the text holds the character NUL"),
        ("1 / 0", "divide by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("inputs.nope", "there is no key 'nope'"),
        ("inputs.nope == 1", "there is no key 'nope'"),
        ("inputs.list[9]", "there is no item 9"),
        ("inputs.list.first", "there is no key 'first'"),
        ("inputs.env[0]", "there is no item 0"),
        ("inputs.amount + inputs.share", "the types do not fit: _+_(int64, double)"),
        ("inputs.amount + '1'", "the types do not fit: _+_(int64, string)"),
        ("int(inputs.env)", "cannot convert string to int"),
        ("timestamp('never')", "String to Timestamp conversion failed"),
    ],
)
def test_what_has_no_json_value_is_an_error(evaluator, expression, reason):
    assert reason_of(evaluator.evaluate, expression, VARIABLES) == reason


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "character 1: the expression is not finished"),
        ("1 +", "character 4: the expression is not finished"),
        ("1 1", "character 3: Syntax error: extraneous input '1'"),
        ("1 == 1 &&\n nope", "line 2, character 2: there is nothing called 'nope'; the names here"),
        ("unknown > 1", "inputs, run, steps, vars"),
        ("now()", "there is nothing called 'now'"),
        ("1 + 'a'", "character 3: found no matching overload"),
        ("steps.?scan", "unsupported syntax"),
        ("'open", "Syntax error"),
        ("(" * 100 + "1" + ")" * 100, "recursion limit"),
        ("+".join(["1"] * 1000), "max recursion depth"),
    ],
)
def test_what_does_not_compile_says_where(evaluator, expression, reason):
    assert reason in reason_of(evaluator.check, expression, names=RUN_NAMES)
    assert reason in reason_of(evaluator.evaluate, expression, VARIABLES)


def test_an_expression_over_the_length_limit_is_refused_before_it_is_read(evaluator):
    fits = "1" + " " * (limits.EXPRESSION_CHARS_MAX - 1)

    assert evaluator.evaluate(fits, {}) == 1
    assert "at most 4000" in reason_of(evaluator.evaluate, fits + " ", {})


def test_no_names_at_all_is_said(evaluator):
    assert reason_of(evaluator.check, "x", names=()).endswith("the names here are: none")


# --- conditions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("inputs.env == 'production' || steps.scan.outputs.critical > 0", True),
        ("inputs.flag", True),
        ("!inputs.flag", False),
        ("inputs.amount == 5.0", True),
        ("inputs.whole == 5", True),
        ("inputs.whole > 4", True),
        ("inputs.amount > 4.5", True),
        ("has(inputs.env)", True),
        ("has(inputs.nope)", False),
        ("'nope' in inputs", False),
        ("has(steps.scan.outputs.critical)", True),
        ("inputs.nope == 1 || true", True),
        ("inputs.env.matches('^prod')", True),
    ],
)
def test_a_condition_is_a_real_boolean(evaluator, expression, expected):
    assert evaluator.condition(expression, VARIABLES) is expected


@pytest.mark.parametrize(
    "expression",
    ["1", "'true'", "null", "[]", "inputs", "inputs.env", "inputs.nothing", "1 / 0", "inputs.nope"],
)
def test_nothing_else_is_taken_for_true(evaluator, expression):
    """The library hands errors over as values whose Python form is a true text."""
    with pytest.raises(ExpressionError):
        evaluator.condition(expression, VARIABLES)


def test_a_condition_that_can_never_be_a_boolean_does_not_pass_the_check(evaluator):
    evaluator.check_condition("inputs.flag", names=RUN_NAMES)
    evaluator.check_condition("inputs.amount > 3", names=RUN_NAMES)

    reason = reason_of(evaluator.check_condition, "inputs.amount + 1", names=RUN_NAMES)

    assert reason == "this is never true or false, but int"


# --- what goes in ----------------------------------------------------------------------------


def test_a_text_with_nul_is_refused_because_the_library_would_cut_it(evaluator):
    """Without this, `staging`, NUL, `x` would equal `staging` and open the gate."""
    variables = {"inputs": {"env": "staging\x00production"}}

    reason = reason_of(evaluator.condition, "inputs.env == 'staging'", variables)

    assert reason == "inputs.env holds the character NUL"
    assert "NUL" in reason_of(evaluator.evaluate, "inputs.env", variables)
    assert "NUL" in reason_of(evaluator.evaluate, "[inputs]", {"inputs": {"a\x00": 1}})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**53, "inputs.x is an integer over 2^53-1"),
        (-(2**53), "inputs.x is an integer over 2^53-1"),
        (float("nan"), "inputs.x is not a finite number"),
        (float("inf"), "inputs.x is not a finite number"),
        ("\ud800", "inputs.x is no valid Unicode"),
        (object(), "inputs.x is object, which is not JSON"),
        ([{"a": [object()]}], "inputs.x[].a[] is object, which is not JSON"),
        ({1: 2}, "inputs.x has a key that is no text"),
    ],
)
def test_what_json_cannot_hold_does_not_reach_the_library(evaluator, value, reason):
    assert reason_of(evaluator.evaluate, "[inputs.x]", {"inputs": {"x": value}}) == reason


def test_any_mapping_and_any_sequence_is_read_as_json(evaluator):
    variables = {"inputs": Map({"list": (1, 2), "map": MappingProxyType({"a": 1})})}

    assert evaluator.evaluate("inputs", variables) == {"list": [1, 2], "map": {"a": 1}}
    assert evaluator.evaluate("inputs.list.map(x, x + 1)", variables) == [2, 3]
    assert evaluator.evaluate("[inputs.map, inputs.list]", variables) == [{"a": 1}, [1, 2]]
    assert evaluator.condition("inputs == 'person'", {"inputs": ActorKind.PERSON}) is True


def test_a_long_list_is_refused_only_where_an_expression_computes_with_it(evaluator):
    files = list(range(limits.LIST_ITEM_COUNT_MAX + 1))
    variables = {"steps": {"scan": {"outputs": {"files": files, "critical": 0}}}}

    reason = reason_of(evaluator.evaluate, "size(steps.scan.outputs.files)", variables)

    assert reason.startswith("steps.scan.outputs.files has 501 items; ")
    assert evaluator.evaluate("steps.scan.outputs.critical + 1", variables) == 1
    assert evaluator.evaluate("steps.scan.outputs.files", variables) == files
    assert evaluator.evaluate("steps.scan.outputs.files[500]", variables) == 500
    assert evaluator.render("${{ steps.scan.outputs.files }}", variables) == files


def test_a_list_of_just_the_limit_is_computed_with(evaluator):
    variables = {"inputs": list(range(limits.LIST_ITEM_COUNT_MAX))}

    assert evaluator.evaluate("size(inputs.filter(x, x > 9))", variables) == 490


def test_a_long_text_is_refused_only_where_an_expression_computes_with_it(evaluator):
    text = "x" * (limits.EXPRESSION_TEXT_CHARS_MAX + 1)
    variables = {"inputs": {"text": text, "short": "x"}}

    reason = reason_of(evaluator.evaluate, "size(inputs.text)", variables)

    assert reason.startswith("inputs.text has 100001 characters; ")
    assert evaluator.evaluate("inputs.short + '!'", variables) == "x!"
    assert evaluator.evaluate("inputs.text", variables) == text


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[inputs, inputs.amount]", 2),
        ("[inputs.amount, inputs]", 2),
        ("[inputs.hosts[0].name, inputs.hosts[1].name]", 2),
    ],
)
def test_a_part_and_the_whole_may_be_read_together(evaluator, expression, expected):
    assert len(evaluator.evaluate(expression, VARIABLES)) == expected


def test_values_that_nest_too_deeply_are_an_error(evaluator):
    value: Any = 1
    for _ in range(3000):
        value = [value]

    assert reason_of(evaluator.evaluate, "inputs", {"inputs": value}) == "it nests too deeply"
    assert reason_of(evaluator.evaluate, "[inputs]", {"inputs": value}) == "it nests too deeply"


# --- order and bounds ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "inputs.tags.map(key, key)",
        "inputs.tags.filter(key, true)",
        "{'b': 1, 'a': 2}.map(key, key)",
        "dyn(inputs.tags).map(key, key)",
        "(inputs.tags).map(key, key)",
        "inputs.hosts.map(host, host.map(key, key))",
        "[inputs.tags].map(tag, tag.map(key, key))",
        ".inputs.tags.map(key, key)",
        'inputs["tags"].map(key, key)',
    ],
)
def test_lists_are_not_made_of_maps_because_their_order_changes(evaluator, expression):
    with pytest.raises(ExpressionError):
        evaluator.evaluate(expression, VARIABLES)


def test_a_hostile_pattern_takes_no_time(evaluator):
    variables = {"inputs": {"text": "a" * 50_000}}
    start = time.process_time()

    found = evaluator.condition("inputs.text.matches('(a+)+$b')", variables)

    assert found is False
    assert time.process_time() - start < 2


def test_nested_loops_end_by_the_librarys_budget(evaluator):
    variables = {"inputs": list(range(500))}
    nested = "inputs.all(a, inputs.all(b, inputs.all(c, a + b + c >= 0)))"

    assert reason_of(evaluator.evaluate, nested, variables) == "Iteration budget exceeded"


# --- sharing ---------------------------------------------------------------------------------


def test_many_threads_share_an_evaluator():
    evaluator = CelEvaluator(program_count_max=4)
    wrong = []

    def work(number):
        for turn in range(200):
            offset = (number + turn) % 8
            value = evaluator.evaluate(f"inputs.n + {offset}", {"inputs": {"n": number}})
            if value != number + offset:
                wrong.append((number, offset, value))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_compiled_expressions_are_kept_within_a_bound():
    evaluator = CelEvaluator(program_count_max=3)

    for number in range(10):
        evaluator.evaluate(f"{number}", {})
    evaluator.evaluate("9", {})

    assert evaluator._program.cache_info().currsize == 3
    assert evaluator._program.cache_info().hits == 1


def test_the_evaluator_needs_no_framework():
    code = (
        "import sys, engine.expressions; "
        "sys.exit(any(name.split('.')[0] in {'django', 'celery'} for name in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)

    assert done.returncode == 0


def test_a_large_value_named_very_often_is_refused_before_it_is_copied_as_often(evaluator):
    text = "x" * (limits.ARGUMENT_BYTES_MAX // 4)
    variables = {"inputs": {"text": text, "list": [text], "map": {text: 1}}}
    for path in ("text", "list", "map"):
        once = f"${{{{ inputs.{path} }}}}-"
        assert len(evaluator.render(once * 3, variables)) < limits.ARGUMENT_BYTES_MAX

        for template in (once * 10_000, [once] * 10_000, {"a": {"b": once * 5}}):
            with pytest.raises(ExpressionError) as caught:
                evaluator.render(template, variables)
            assert caught.value.kind == TOO_LARGE

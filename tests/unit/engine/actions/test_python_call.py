"""Calling registered functions."""

import logging
import sys

import pytest

from countersign import TransientError, current_attempt, function
from countersign.functions import find_function
from engine.actions.contract import ActionCall, ActionError
from engine.actions.python_call import SPEC


@function("test_python_call.add")
def add(*, left, right=1):
    return {"sum": left + right}


@function("test_python_call.who")
def who():
    attempt = current_attempt()
    return {"step": attempt.step, "key": attempt.idempotency_key, "number": attempt.number}


@function("test_python_call.fail")
def fail(*, how):
    match how:
        case "transient":
            raise TransientError("the index is down")
        case "silent":
            raise TransientError
        case "value":
            raise ValueError("first line\nsecond line")
        case "type":
            raise TypeError("from the inside")
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case _:
            return {"path": [object()]}


@function("test_python_call.later")
async def later():
    return 1


def _call(attempt, **arguments):
    return SPEC.execute(ActionCall(arguments=arguments, attempt=attempt))


def test_a_registered_function_is_called_by_keyword(attempt):
    assert _call(attempt, function="test_python_call.add", left=2, right=3) == {"sum": 5}
    assert _call(attempt, function="test_python_call.add", left=2) == {"sum": 3}


def test_a_function_knows_its_attempt_and_only_while_it_runs(attempt):
    assert _call(attempt, function="test_python_call.who") == {
        "step": "deploy",
        "key": "run:deploy:1",
        "number": 1,
    }
    with pytest.raises(LookupError):
        current_attempt()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "with: 'function' is a required property"),
        ({"function": 3}, "with/function: 3 is not of type 'string'"),
        ({"function": "os.system"}, "No function is registered as 'os.system'."),
        ({"function": "test_python_call.ad"}, "Did you mean 'test_python_call.add'?"),
        ({"function": "test_python_call.add"}, "missing a required argument: 'left'"),
        (
            {"function": "test_python_call.add", "left": 1, "x": 2},
            "unexpected keyword argument 'x'",
        ),
        ({"function": "test_python_call.later"}, "is a coroutine function"),
    ],
)
def test_wrong_arguments_are_invalid(attempt, arguments, said):
    with pytest.raises(ActionError) as caught:
        _call(attempt, **arguments)

    assert caught.value.kind == "invalid"
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("transient", "transient", "the index is down"),
        ("silent", "transient", "Trying again may help."),
        ("value", "permanent", "ValueError: first line second line"),
        ("type", "permanent", "TypeError: from the inside"),
        ("exit", "permanent", "SystemExit: 3"),
        ("object", "permanent", "result/path/0: object is not JSON."),
    ],
)
def test_a_failing_function_fails_its_attempt_only(attempt, how, kind, said):
    with pytest.raises(ActionError) as caught:
        _call(attempt, function="test_python_call.fail", how=how)

    assert (caught.value.kind, caught.value.message) == (kind, said)


def test_an_interrupt_is_not_swallowed(attempt):
    with pytest.raises(KeyboardInterrupt):
        _call(attempt, function="test_python_call.fail", how="interrupt")


def test_the_traceback_goes_to_the_log_and_not_on_record(attempt, caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(ActionError) as caught:
        _call(attempt, function="test_python_call.fail", how="value")

    assert "Traceback" not in caught.value.message
    assert caplog.records[0].exc_info is not None


def test_one_name_belongs_to_one_function():
    with pytest.raises(ValueError, match="is taken by"):

        @function("test_python_call.add")
        def subtract():
            """Take the name of another."""

    registered = find_function("test_python_call.add")
    assert registered is not None
    assert registered.body is add

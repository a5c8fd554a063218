"""Our reading of the schema is the standard's, and nothing makes the compiler stumble."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from approvals.verbs import ApprovalVerb
from core.kernel import limits
from engine.domain.flow.loader import load
from engine.domain.flow.positions import Places
from engine.domain.flow.problems import Reporter
from engine.domain.flow.schema import language_schema
from engine.domain.flow.shape import check_shape
from engine.domain.plan_json import plan_from_json, plan_to_json
from tests.fakes.flow import DATA, compile_text

BASE: Any = load((DATA / "release_reduced.yaml").read_bytes()).value
RICH = {
    "retry": {"max": 3, "backoff": "fixed", "initial": "PT1S", "max-delay": "PT5M", "jitter": True},
    "timeout": "PT30M",
    "join": "all-settled",
    "compensate-on-failure": True,
}
BASE["steps"]["deploy"].update(RICH)
BASES = [BASE] + [
    load((DATA / f"{name}.yaml").read_bytes()).value for name in ("every_step", "every_state")
]
KEYS = [
    *("uses", "approval", "with", "retry", "timeout", "needs", "join", "outputs", "compensate"),
    *("compensate-on-failure", "on-error", "effect", "if", "strategy", "call", "kind", "title"),
    *(
        "x",
        "a b",
        "in",
        "states",
        "max",
        "errors",
        "then",
        "manual",
        "webhook",
        "stages",
        "expires",
    ),
    *("wait", "emit", "race", "set", "steps", "map", "loop", "timer", "event", "correlate", "id"),
    *("items", "as", "matrix", "until", "while", "count", "percent", "attempt", "total", "to"),
    *("transitions", "events", "on-outcome", "on-success", "after", "final", "result", "stuck"),
    *("detached", "mutex", "rate", "key", "priority", "initial", "steps", "delivery", "lazy"),
]
LEAVES = [
    *(None, True, 0, 5, -1, 101, 1.5, "", " ", "x", "A", "PT5M", "P1Y", "dag", "states", "all"),
    *("all-settled", "any", "python/call@1", "python", "fixed", "ask", "fail", "run.id", "in"),
    *(
        "a.b",
        "child@1",
        "every_step@^1",
        "review",
        "nobody",
        "approved",
        "item",
        "host",
        "result.x",
    ),
    *("result.x", "matrix.db", "event.data", "at-most-once", "1", "steps.ack.outputs"),
    "steps.draft.outcome",
    *("${{ inputs.ref }}", "${{", "secrets.a", "scan", "deploy", "x" * 65, "x" * 4001),
]
leaves = st.sampled_from(LEAVES)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=4,
)


def _paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


@st.composite
def mutated(draw, base):
    """Return a document changed in one to three places."""
    document = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(document))))
        if not path:
            continue
        parent = document
        for part in path[:-1]:
            parent = parent[part]
        act = draw(st.sampled_from(["replace", "remove", "add"]))
        if act == "remove":
            del parent[path[-1]]
        elif act == "add" and isinstance(parent[path[-1]], dict):
            parent[path[-1]][draw(st.sampled_from(KEYS))] = draw(values)
        else:
            parent[path[-1]] = draw(values)
    return document


documents = st.integers(0, len(BASES) - 1).flatmap(lambda index: mutated(BASES[index]))


def _without(schema):
    """Return the schema in which what other parts check may be any map."""
    if isinstance(schema, dict):
        if "x-checked-by" in schema:
            return {"type": "object"}
        return {key: _without(item) for key, item in schema.items()}
    return [_without(item) for item in schema] if isinstance(schema, list) else schema


STANDARD = Draft202012Validator(_without(language_schema()))
APPROVAL = Draft202012Validator(
    {"$defs": language_schema()["$defs"], **language_schema()["$defs"]["approval"]}
)


def test_the_documents_that_are_changed_are_right_and_have_every_key():
    for document in BASES:
        assert compile_text(json.dumps(document), verb=ApprovalVerb()).plan is not None
    text = json.dumps(BASES)
    for part in ("step", "state", "transition", "stateEvent", "map", "strategy", "loop"):
        for key in language_schema()["$defs"][part]["properties"]:
            assert f'"{key}": ' in text, key


@settings(max_examples=250)
@given(document=documents)
def test_a_definition_has_the_right_shape_just_when_the_standard_says_so(document):
    reporter = Reporter(places=Places())

    check_shape(document, reporter=reporter)

    assert reporter.has_errors == (not STANDARD.is_valid(document)), reporter.problems()


@settings(max_examples=150)
@given(document=documents)
def test_any_definition_compiles_or_says_where_it_does_not(document):
    text = json.dumps(document, ensure_ascii=False, indent=1)

    compilation = compile_text(text, verb=ApprovalVerb())

    errors = [item for item in compilation.problems if item.severity == "error"]
    assert (compilation.plan is None) == bool(errors)
    assert len(compilation.problems) <= limits.PROBLEM_COUNT_MAX
    lines = text.split("\n")
    for item in compilation.problems:
        assert item.line is not None
        assert item.column is not None
        assert 1 <= item.column <= len(lines[item.line - 1]) + 1
    if compilation.plan is not None:
        assert plan_from_json(plan_to_json(compilation.plan)) == compilation.plan


@settings(max_examples=120)
@given(block=mutated(BASE["steps"]["approve"]["approval"]))
def test_an_approval_block_that_is_accepted_fits_the_schema(block):
    steps = {
        "test": {"uses": "python/call@1", "with": {"function": "release.scan"}},
        "scan": {
            "uses": "python/call@1",
            "with": {"function": "release.scan"},
            "outputs": {"critical": "1"},
        },
        "approve": {"needs": ["test", "scan"], "approval": block},
    }
    document = {**BASE, "steps": steps, "outputs": {"a": "run.id"}}

    compilation = compile_text(json.dumps(document), verb=ApprovalVerb())

    assert compilation.plan is None or APPROVAL.is_valid(block), list(APPROVAL.iter_errors(block))

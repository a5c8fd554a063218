"""The text of expressions: templates, what is read, and what is rewritten."""

import pytest

from engine.domain.expressions import RUN_NAMES, ExpressionError
from engine.domain.flow.references import list_only, read_references
from engine.expressions import CelEvaluator

VARIABLES = {
    "inputs": {
        "env": "production",
        "amount": 5,
        "share": 0.5,
        "flag": True,
        "nothing": None,
        "list": [3, 1, 2],
        "tags": {"b": 1, "a": 2},
    },
}


@pytest.fixture(scope="module")
def evaluator():
    return CelEvaluator()


def reason_of(call, *arguments, **named):
    with pytest.raises(ExpressionError) as caught:
        call(*arguments, **named)
    return caught.value.reason


# --- templates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain }} text", "plain }} text"),
        ("${{ inputs.amount }}", 5),
        ("${{inputs.list}}", [3, 1, 2]),
        (" ${{ inputs.amount }}", " 5"),
        ("${{ inputs.env }}/${{ inputs.amount }}", "production/5"),
        ("${{ inputs.flag }} ${{ inputs.nothing }} ${{ inputs.share }}", "true null 0.5"),
        ("x ${{ inputs.tags }} ${{ inputs.list }}", 'x {"a":2,"b":1} [3,1,2]'),
        ("${{ '}}' }}", "}}"),
        ("${{ \"}}\" + '{{' }}.", "}}{{."),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("${{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("${{ '''it's }} here''' }}", "it's }} here"),
        ("${{ r'\\d}}' }}", "\\d}}"),
        ("$${{ inputs.env }}", "${{ inputs.env }}"),
        ("$$${{ x", "$${{ x"),
        ("a $${{ b ${{ inputs.amount }}", "a ${{ b 5"),
        ("$ { { }", "$ { { }"),
        (7, 7),
        (None, None),
        ({"a": ["${{ inputs.amount }}", 1], "${{ k }}": "x"}, {"a": [5, 1], "${{ k }}": "x"}),
        ((1, "${{ inputs.env }}"), [1, "production"]),
    ],
)
def test_a_template_is_rendered(evaluator, template, expected):
    assert evaluator.render(template, VARIABLES) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("a ${{ inputs.env", "`${{` is not closed by `}}`"),
        ("${{ 'a }}", "a quoted text is not closed"),
        ("${{ a } }}", "a `}` has no matching `{`"),
        ("${{ }}", "the expression is empty"),
        ("${{ a @ b }}", "the character '@' has no meaning here"),
        ("${{ a // }}", "`${{` is not closed by `}}`"),
    ],
)
def test_a_broken_template_is_an_error(evaluator, template, reason):
    assert reason_of(evaluator.render, template, VARIABLES) == reason
    assert reason_of(evaluator.check_template, [template], names=RUN_NAMES) == reason


def test_every_expression_of_a_template_is_checked(evaluator):
    template = {"a": ["x", {"b": "${{ inputs.a }} and ${{ nope }}"}], "c": 1}

    assert "nothing called 'nope'" in reason_of(
        evaluator.check_template, template, names=("inputs",)
    )
    evaluator.check_template(template, names=("inputs", "nope"))


def test_a_failing_expression_of_a_template_is_named(evaluator):
    with pytest.raises(ExpressionError) as caught:
        evaluator.render("Release ${{ inputs.nope }}", VARIABLES)

    assert caught.value.expression == "inputs.nope"


# --- what is read ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "steps"),
    [
        ("steps.scan.outcome == 'x' || steps['test'].outputs.a > 0", {"scan", "test"}),
        ("steps . scan // steps.other\n .outputs", {"scan"}),
        ("steps.`scan`.outputs", {"scan"}),
        ('steps[r"scan"]', {"scan"}),
        ("'steps.fake' + \"steps['fake']\"", set()),
        ("inputs.steps.fake", set()),
        ("inputs[steps.scan.outputs.key]", {"scan"}),
        ("size(steps)", set()),
        ("steps.all(key, true)", set()),
        ("[1].map(x, .steps.scan)", {"scan"}),
        ("true ? .steps.scan : inputs.steps.fake", {"scan"}),
        ("1 in .steps.scan", {"scan"}),
        ("steps[1]", set()),
        ("steps[12345678901]", set()),
        ("steps['a\\x62']", set()),
        ("steps['a'", set()),
        ("steps[0", set()),
        ("steps.", set()),
        ("steps..a", set()),
        ("in.steps", set()),
    ],
)
def test_the_steps_an_expression_reads(evaluator, expression, steps):
    assert evaluator.reads(expression) == steps


def test_reading_what_is_no_expression_is_an_error(evaluator):
    assert reason_of(evaluator.reads, "steps.a @") == (
        "character 9: the character '@' has no meaning here"
    )


def test_fields_are_read_as_far_as_they_are_written():
    found = read_references("steps.scan.outputs[0]['x'].size() + inputs.a[vars.key]").found

    assert [(item.name, item.fields, item.start) for item in found] == [
        ("steps", ("scan", "outputs", 0, "x"), 0),
        ("inputs", ("a",), 36),
        ("vars", ("key",), 45),
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("inputs.a", True), ("inputs", True), ("(inputs.a)", False), ("inputs.a + 1", False)],
)
def test_a_path_is_an_expression_that_selects_and_does_nothing_else(expression, expected):
    assert read_references(expression).is_path is expected


# --- what is rewritten ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "rewritten"),
    [
        ("a.map(x, x)", "(a + []).map(x, x)"),
        ("-a.b.map(x, x)", "-(a.b + []).map(x, x)"),
        ("1 in a['b'][0].map(x, x)", "1 in (a['b'][0] + []).map(x, x)"),
        ("f(a).g(b).map(x, x)", "(f(a).g(b) + []).map(x, x)"),
        ("(a + b).filter(x, x)", "((a + b) + []).filter(x, x)"),
        ("a ? .b.map(x, x) : c", "a ? (.b + []).map(x, x) : c"),
        (".b.map(x, x)", "(.b + []).map(x, x)"),
        ("[1, 2].map(x, x)", "[1, 2].map(x, x)"),
        ("[a][0].map(x, x)", "[a][0].map(x, x)"),
        ("a.map(x, x).filter(x, x)", "(a + []).map(x, x).filter(x, x)"),
        ("(a.map(x, x)).map(x, x)", "(((a + []).map(x, x)) + []).map(x, x)"),
        ("a.map(x, b.map(y, y))", "(a + []).map(x, (b + []).map(y, y))"),
        ("{'a': 1}.map(x, x)", "({'a': 1} + []).map(x, x)"),
        ("p.Q{a: 1}.map(x, x)", "(p.Q{a: 1} + []).map(x, x)"),
        ("a.map + map(b) + 'x.map(y, y)' // .map(", "a.map + map(b) + 'x.map(y, y)' // .map("),
        ("a).map(x, x)", "a).map(x, x)"),
        (").map(x, x)", ").map(x, x)"),
        ("+.map(x, x)", "+.map(x, x)"),
        ("(+.map(x, x)", "(+.map(x, x)"),
    ],
)
def test_the_macros_that_make_lists_are_given_lists(expression, rewritten):
    assert list_only(expression) == rewritten

"""What the evaluator does to expressions and variables never changes what they mean."""

from cel_expr_python import cel
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.domain.expressions import ExpressionError
from engine.domain.flow.references import list_only
from engine.domain.flow.templates import Hole, split_template
from engine.domain.flow.tokens import read_tokens
from engine.expressions import CelEvaluator

NAMES = ("inputs", "vars", "steps")
ENVIRONMENT = cel.NewEnv(variables=dict.fromkeys(NAMES, cel.Type.DYN))
EVALUATOR = CelEvaluator()

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", "b", "x y", ""])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "l"]), inner, max_size=3)
    ),
    max_leaves=8,
)
variables = st.fixed_dictionaries(dict.fromkeys(NAMES, values))

paths = st.builds(
    "".join,
    st.tuples(
        st.sampled_from([*NAMES, ".inputs", "(vars)"]),
        st.sampled_from(["", ".a", ".l", "['b']", '["a"]', ".`b`"]),
        st.sampled_from(["", ".a", ".l", "[0]", "[vars.a]", " . b"]),
    ),
)
atoms = paths | st.sampled_from(["1", "'a.map(b'", "[1, 2]", "true", "[[1]]", '"}}"', "r'\\'"])


def _grown(inner):
    lists = st.sampled_from(["{}.map(x, {})", "({} + {}).filter(x, x == {})", "{}.map(y, y)"])
    others = st.sampled_from(
        [
            "{} + {}",
            "({} == {})",
            "size({})",
            "{} in {}",
            "{} ? {} : {}",
            "has(inputs.a) && {}",
            "-{}",
            "[{}, {}]",
            "{{'k': {}}}.k",
            "{}.exists(x, x == {})",
            "{} // note\n",
        ]
    )
    return st.builds(
        lambda form, parts: form.format(*parts), lists | others, st.tuples(inner, inner, inner)
    )


expressions = st.recursive(atoms, _grown, max_leaves=6)


REFUSED = "refused"


def _plainly(text, data):
    """Return the result of the bare library: no pruning, nothing rewritten."""
    try:
        value = ENVIRONMENT.compile(text).eval(data=data)
    except RuntimeError:
        return REFUSED
    return REFUSED if value.type() == cel.Type.ERROR else value.plain_value()


def _ours(text, data):
    try:
        return EVALUATOR.evaluate(text, data), ""
    except ExpressionError as error:
        return REFUSED, error.reason


def _compile_error(text):
    try:
        ENVIRONMENT.compile(text)
    except RuntimeError as error:
        return str(error)
    return ""


@settings(max_examples=400)
@given(expression=expressions, data=variables)
def test_pruning_and_rewriting_change_no_result(expression, data):
    expected = _plainly(expression, data)

    found, reason = _ours(expression, data)

    assert found == expected or (found == REFUSED and "map() and filter() need a list" in reason)


@settings(max_examples=300)
@given(expression=expressions)
def test_what_the_library_compiles_still_compiles_for_lists_only(expression):
    assume(not _compile_error(expression))

    error = _compile_error(list_only(expression))

    # A map, or a type the library now knows better, is refused at publish instead of at run time.
    assert not error or "found no matching overload" in error or "recursion" in error


fragments = st.sampled_from(
    [
        "inputs",
        ".a",
        ".`a b`",
        "'''",
        '"""',
        "0x1",
        "1.5e3",
        "2u",
        ".5",
        "//",
        *"{}[]() \n/$@,?:éa+'\"\\rb",
    ]
)


@settings(max_examples=400)
@given(text=st.lists(fragments, max_size=8).map("".join))
def test_the_tokens_of_any_text_the_library_accepts_are_found(text):
    error = _compile_error(text)
    if "Syntax error" in error or "token" in error or "Invalid" in error:
        return

    tokens = list(read_tokens(text))

    assert [text[token.start : token.end] for token in tokens] == [token.text for token in tokens]


@given(before=st.text(max_size=5), expression=expressions, after=st.text(max_size=5))
def test_an_expression_inside_a_text_is_found_whole(before, expression, after):
    literals = (before + after).replace("$", "").replace("{", "")
    text = f"{literals}${{{{ {expression} }}}}{literals}"

    parts = split_template(text)

    holes = [part for part in parts if isinstance(part, Hole)]
    assert [hole.expression for hole in holes] == [expression.strip()]
    assert "".join(part for part in parts if isinstance(part, str)) == literals * 2

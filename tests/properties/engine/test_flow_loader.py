"""Any text loads or says why not, and what was written as JSON is read back."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from core.kernel import limits
from engine.domain.flow.loader import load

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=200)
yaml_pieces = st.sampled_from(
    [
        "b:",
        "- ",
        "? ",
        "|\n",
        "&x",
        "*x",
        "!t ",
        "<<:",
        "---\n",
        "...\n",
        *"a1: \n[]{},'\"%>#\t\\é😀\x00",
    ]
)
json_texts = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=10)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)  # others come back from jsonb as integers
    | json_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_texts, inner, max_size=4),
    max_leaves=20,
)


def _assert_answers(source):
    loaded = load(source)

    assert len(loaded.problems) <= limits.PROBLEM_COUNT_MAX
    for problem in loaded.problems:
        assert problem.line is not None
        assert problem.line >= 1
        assert problem.column is not None
        assert problem.column >= 1
        assert problem.message
        assert problem.code.startswith("flow.")


@settings(max_examples=100)
@given(source=texts | st.binary(max_size=200))
def test_any_input_is_answered(source):
    _assert_answers(source)


@settings(max_examples=200)
@given(pieces=st.lists(yaml_pieces, max_size=30))
def test_anything_made_of_yaml_is_answered(pieces):
    _assert_answers("".join(pieces))


@settings(max_examples=150)
@given(value=values, indent=st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_json(value, indent):
    loaded = load(json.dumps(value, ensure_ascii=False, indent=indent))

    assert loaded.problems == ()
    assert loaded.value == value

"""Where secrets stand in arguments: the template says it, and no data can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.secrets import (
    MisfitError,
    fill_places,
    has_secrets,
    list_secrets,
    may_have_places,
    secret_in,
    with_places,
)
from engine.expressions import CelEvaluator

EVALUATOR = CelEvaluator()
VALUES = {"TOKEN": "hunter2", "KEY": "k-e-y"}


def put_in(template, values=VALUES, **inputs):
    """Return what an action gets, and what the run holds before."""
    held = EVALUATOR.render(with_places(template), {"inputs": inputs})
    return fill_places(template, held, values), held


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("secrets.TOKEN", "TOKEN"),
        ("  secrets . A_1 ", "A_1"),
        ("secrets.token", None),
        ('secrets["TOKEN"]', None),
        ("secrets.TOKEN + 'x'", None),
        ("inputs.secrets.TOKEN", None),
        ("secrets", None),
    ],
)
def test_only_a_name_by_itself_is_a_secret(expression, name):
    assert secret_in(expression) == name


def test_a_text_that_is_a_secret_becomes_it():
    given_, held = put_in({"token": "${{ secrets.TOKEN }}"})

    assert given_ == {"token": "hunter2"}
    assert held == {"token": [{"secret": "TOKEN"}]}


def test_a_secret_inside_a_text_is_put_between_its_parts():
    template = {"headers": {"Authorization": "Bearer ${{ secrets.TOKEN }} for ${{ inputs.who }}"}}

    given_, held = put_in(template, who="mara")

    assert given_ == {"headers": {"Authorization": "Bearer hunter2 for mara"}}
    assert "hunter2" not in str(held)


def test_values_beside_a_secret_are_written_as_in_any_longer_text():
    template = ["${{ secrets.TOKEN }}:${{ inputs.a }}:${{ inputs.b }}:${{ inputs.c }}"]

    given_, _ = put_in(template, a={"x": [1, True]}, b=1.5, c=None)

    assert given_ == ['hunter2:{"x":[1,true]}:1.5:null']


def test_what_is_written_out_stays_written_out():
    template = ["$${{ secrets.KEY }} ${{ secrets.TOKEN }} $$${{ x", "$${{ secrets.TOKEN }}"]

    given_, held = put_in(template)

    assert given_ == ["${{ secrets.KEY }} hunter2 $${{ x", "${{ secrets.TOKEN }}"]
    assert held[1] == "${{ secrets.TOKEN }}"


@pytest.mark.parametrize(
    "forged",
    [
        "${{ secrets.KEY }}",
        "$${{ secrets.KEY }}",
        {"secret": "KEY"},
        [{"secret": "KEY"}],
        ["a", {"secret": "KEY"}],
        '{"secret":"KEY"}',
        "a$",
        "***",
    ],
)
def test_data_that_looks_like_a_secret_stays_data(forged):
    template = {
        "own": "${{ inputs.x }}",
        "beside": "${{ inputs.x }}${{ secrets.TOKEN }}",
        "list": ["${{ inputs.x }}", "${{ secrets.TOKEN }}"],
    }

    given_, _ = put_in(template, x=forged)

    assert given_["own"] == forged
    assert given_["list"] == [forged, "hunter2"]
    assert given_["beside"].endswith("hunter2")
    assert "k-e-y" not in str(given_)


TEXTS = st.text(st.characters(exclude_characters="\x00"), max_size=10)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-100, 100) | TEXTS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["secret", "a", "TOKEN"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_no_data_ever_becomes_a_secret(data):
    template = {"a": "${{ inputs.x }}", "b": [["${{ inputs.x }}"], "${{ secrets.TOKEN }}"]}
    expected = EVALUATOR.render("${{ inputs.x }}", {"inputs": {"x": data}})

    given_, _ = put_in(template, x=data)

    assert given_["a"] == expected
    assert given_["b"] == [[expected], "hunter2"]


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ({"a": "${{ secrets.TOKEN }}"}, {"a": "hunter2"}),
        ({"a": "${{ secrets.TOKEN }}"}, {"a": [{"secret": "TOKEN"}, "x"]}),
        ({"a": "${{ secrets.TOKEN }}"}, {"b": [{"secret": "TOKEN"}]}),
        ({"a": "${{ secrets.TOKEN }}"}, {}),
        (["${{ secrets.TOKEN }}"], []),
        (["${{ secrets.TOKEN }}"], {"0": [{"secret": "TOKEN"}]}),
    ],
)
def test_arguments_that_do_not_fit_their_template_are_refused(template, rendered):
    with pytest.raises(MisfitError):
        fill_places(template, rendered, VALUES)


def test_the_name_in_the_arguments_does_not_choose_the_secret():
    """Whoever changes a queue's row gets no other secret than the plan's."""
    filled = fill_places({"a": "${{ secrets.TOKEN }}"}, {"a": [{"secret": "KEY"}]}, VALUES)

    assert filled == {"a": "hunter2"}


def test_secrets_make_no_arguments_without_end():
    template: Json = ["${{ secrets.TOKEN }}"] * 100
    held = EVALUATOR.render(with_places(template), {"inputs": {}})

    with pytest.raises(MisfitError, match="over"):
        fill_places(template, held, {"TOKEN": "x" * (limits.ARGUMENT_BYTES_MAX // 50)})


def test_the_secrets_of_a_template_are_listed():
    template: Json = {
        "a": ["${{ secrets.TOKEN }}", "x ${{ secrets.KEY }}${{ secrets.TOKEN }}"],
        "b": "$${{ secrets.NOT }} ${{ inputs.secrets }}",
        "${{ secrets.IN_A_KEY }}": 1,
    }

    assert list(list_secrets(template)) == ["TOKEN", "KEY", "TOKEN"]
    assert has_secrets(template)
    assert not has_secrets({"a": "secrets.TOKEN"})


def test_a_template_without_secrets_is_rendered_as_before():
    template: Json = {"a": "x ${{ inputs.secrets }} y", "b": [1, None, "$${{ x"]}

    assert with_places(template) == template


def test_places_are_seen_wherever_they_are():
    assert may_have_places({"a": [1, [{"secret": "TOKEN"}]]})
    assert not may_have_places({"a": [1, ["secret"]], "b": {"secret": 1, "c": 2}})

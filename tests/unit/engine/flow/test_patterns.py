"""How large patterns are: what they stand for, not what they look like."""

import pytest

from core.kernel import limits
from core.kernel.types import Json
from engine.domain.flow.input_schema import check_schema
from engine.domain.flow.patterns import liken_pattern, size_of_pattern
from tests.fakes.flow import EVALUATOR


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("", 1),
        ("abc", 4),
        ("a{3}", 4),
        ("a{2,5}b", 7),
        ("a{5,}", 6),
        ("(ab){3}", 7),
        ("((ab){3}c){2}", 15),
        (r"\pL{9}", 2_251),
        (r"\p{Greek}\d", 252),
        ("[a-z]{4}", 41),
        (r"[\pL\pN]{2}", 1_021),
        ("[{3}]{2}", 21),
        (".{7}", 71),
        ("a{0}", 2),
        (")(", 1),
        ("\\", 2),
        ("(((", 1),
    ],
)
def test_repetitions_count_as_often_as_they_stand_for(pattern, size):
    assert size_of_pattern(pattern) == size


@pytest.mark.parametrize(
    ("pattern", "likeness", "classes"),
    [
        ("a{3}", "a{1}", set()),
        ("a{0,30}b{7,}", "a{0,1}b{1,}", set()),
        (r"\pL{64}[\PN{3}]", "a{1}[a{3}]", {r"\pL", r"\PN"}),
        (r"\p{Greek}\{9}", r"a\{9}", {r"\p{Greek}"}),
        ("a{9,3}b{1001}", "a{9,3}b{1001}", set()),
        ("a{x}(", "a{x}(", set()),
    ],
)
def test_what_is_read_is_a_small_likeness(pattern, likeness, classes):
    assert liken_pattern(pattern) == (likeness, classes)


@pytest.mark.parametrize(
    "pattern", [r"\pQ", r"\p{Nonsense}{3}", "a{9,3}", "a{1001}", "(", "[a", "a**"]
)
def test_what_is_no_pattern_is_refused(pattern):
    schema: Json = {"type": "object", "properties": {"a": {"pattern": pattern}}}

    (fault,) = check_schema(schema, path="", evaluator=EVALUATOR)

    assert "The pattern cannot be used" in fault.message


def test_a_pattern_of_any_length_is_measured_at_once():
    assert size_of_pattern("(a{9})" * 10_000) == 90_001


@pytest.mark.parametrize(
    "pattern", [r"^\pL{1,64}$", "^[a-z0-9-]{1,63}$", "^(a+)+$", r"^\d{4}-\d{2}$"]
)
def test_what_people_write_is_accepted(pattern):
    properties: dict[str, Json] = {f"p{number}": {"pattern": pattern} for number in range(30)}

    assert not check_schema(
        {"type": "object", "properties": properties}, path="", evaluator=EVALUATOR
    )


def test_what_is_too_large_by_itself_or_together_is_said_where_it_is():
    properties: dict[str, Json] = {"wide": {"pattern": r"\pL{999}"}}
    for number in range(60):
        properties[f"p{number}"] = {"pattern": r"\pL{79}"}

    faults = check_schema(
        {"type": "object", "properties": properties}, path="", evaluator=EVALUATOR
    )

    assert "repetitions written out" in faults[0].message
    assert faults[0].path == "/properties/wide/pattern"
    assert "together" in faults[-1].message
    assert limits.PATTERN_SIZE_MAX < 249_750 < limits.INPUT_PATTERN_SIZE_MAX

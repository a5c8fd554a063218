"""What the use cases compute, against values from elsewhere."""

import json

import pytest

from examples.cases import list_stories
from examples.compliance.functions import test_control as control
from examples.onboarding.functions import check_vat, screen
from examples.orders.functions import price
from examples.publishing.functions import check
from examples.systems import SystemRefusedError
from examples.training.learning import fit, mcnemar, predict, two_proportions
from examples.vulnerabilities.scoring import base_score, is_affected


@pytest.mark.parametrize(
    ("vector", "score"),
    # Source: the examples of the CVSS 3.1 specification and of FIRST's user guide.
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 64),
        ("CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 78),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 31),
        ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
    ],
)
def test_a_vector_has_the_score_the_standard_gives_it(vector, score):
    assert base_score(vector) == score


@pytest.mark.parametrize(
    "vector", ["", "AV:N", "CVSS:3.1/AV:N", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"]
)
def test_half_a_vector_has_no_score(vector):
    with pytest.raises(ValueError, match=r"vector|valid"):
        base_score(vector)


def test_a_range_begins_with_what_introduced_it_and_ends_before_the_fix():
    def affected(version):
        return is_affected(version, introduced="1.2.0", fixed="1.10")

    assert [affected(version) for version in ("1.1.9", "1.2", "1.9.9", "1.10.0")] == [
        *(False, True, True, False)
    ]
    assert is_affected("99", introduced="0", fixed=None)


@pytest.mark.parametrize(
    ("country", "number"),
    [("DE", "136695976"), ("AT", "U13585627"), ("BE", "0403501984"), ("LU", "15027442")],
)
def test_a_vat_number_is_valid_until_one_digit_changes(country, number):
    assert check_vat(country=country, number=country + number)["valid"]
    for index, digit in enumerate(number):
        if digit.isdigit():
            other = number[:index] + str((int(digit) + 1) % 10) + number[index + 1 :]
            assert not check_vat(country=country, number=country + other)["valid"]


def test_a_name_is_found_without_accents_and_in_any_order():
    found = screen(names=["RUIZ-MARCHETTI Éléna"], company="Nobody GmbH")

    assert found["highest_percent"] >= 80
    assert [hit["listed"] for hit in found["hits"]] == ["Elena Marchetti-Ruiz"]
    assert screen(names=["Eva Brandl"], company="Wiener Werkbank")["hits"] == []


def test_an_order_is_added_up_in_whole_cents():
    priced = price(lines=[{"sku": "CBL-005", "quantity": 3}], country="DE")

    assert (priced["net"], priced["tax"], priced["total"]) == (4350, 827, 5177)
    with pytest.raises(SystemRefusedError, match="ABC-999"):
        price(lines=[{"sku": "ABC-999", "quantity": 1}], country="DE")


def test_a_control_finds_who_left_and_only_them():
    found = control(quarter="2026-Q3", control="AC-1")["exceptions"]

    assert [item["account"] for item in found] == ["s.ito", "r.voss"]
    assert control(quarter="2026-Q2", control="AC-1")["exceptions"] == []


def test_a_copy_editor_finds_what_is_wrong_with_a_draft_and_nothing_in_a_good_one():
    bad = check(slug="data-centre", file="data-centre-1.markdown")["problems"]

    assert "a link that leads nowhere: status" in bad
    assert "hard to read: 0 of 100" in bad
    assert check(slug="data-centre", file="data-centre-2.markdown")["problems"] == []


def test_a_model_learns_a_line_and_the_tests_know_an_accident():
    rows = [[1.0, (index - 50) / 10] for index in range(100)]
    labels = [int(row[1] > 0.5) for row in rows]

    weights = fit(rows, labels, penalty=0.0)

    right = sum(
        (predict(weights, row) >= 0.5) == bool(label)
        for row, label in zip(rows, labels, strict=True)
    )
    assert right >= 97
    # Source: McNemar's exact test of 10 against 25 discordant pairs; two-sided binomial.
    assert mcnemar(25, 10) == pytest.approx(0.01668, abs=0.0001)
    assert mcnemar(5, 5) == 1.0
    assert two_proportions((50, 100), (50, 100)) == 1.0
    assert two_proportions((60, 100), (40, 100)) == pytest.approx(0.00468, abs=0.0001)


def test_every_story_can_be_sent_as_json():
    for _, story in list_stories():
        assert json.loads(json.dumps(story.inputs)) == story.inputs

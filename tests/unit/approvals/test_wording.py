"""What the mails are made of: lines, facts and amounts."""

import pytest

from approvals.outbound.wording import (
    FACT_CHARS_MAX,
    FACT_COUNT_MAX,
    format_amount,
    list_facts,
    make_line,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (None, "", ""),
        (125050, "EUR", "1,250.50 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-1250, "USD", "-12.50 USD"),
        (1250, "JPY", "1,250 JPY"),
        (1250, "KWD", "1.250 KWD"),
    ],
)
def test_amounts_are_written_with_the_decimals_of_their_currency(value, currency, text):
    assert format_amount(value, currency) == text


def test_facts_are_plain_values_on_one_line_and_structure_stays_on_the_page():
    facts, more_count = list_facts(
        {
            "artifact": "a\nb",
            "dry-run": False,
            "size_bytes": 12345,
            "share": 0.25,
            "nothing": None,
            "tags": ["a", "b"],
            "steps": {"test": "passed", "deep": {"er": 1}},
            "table": [{"row": 1}],
        }
    )

    assert [(line.label, line.text) for line in facts] == [
        ("Artifact", "a b"),
        ("Dry run", "No"),
        ("Size bytes", "12,345"),
        ("Share", "0.25"),
        ("Nothing", "—"),
        ("Tags", "a, b"),
        ("Steps · Test", "passed"),
    ]
    assert more_count == 2


def test_facts_are_bounded_in_number_and_length():
    facts, more_count = list_facts({f"{'k' * 300}{index}": "v" * 5_000 for index in range(50)})

    assert len(facts) == FACT_COUNT_MAX
    assert more_count == 50 - FACT_COUNT_MAX
    assert all(len(line.text) == FACT_CHARS_MAX and line.text.endswith("…") for line in facts)
    assert all(len(line.label) <= FACT_CHARS_MAX // 2 for line in facts)


def test_a_line_has_no_breaks_and_nothing_that_turns_the_reading_order():
    assert make_line(" a\r\n\tb\x00c\u2028d\u202ee\u2066f\u200b ") == "a b c def"


def test_a_text_is_cut_only_where_it_is_too_long():
    assert shorten("abcd", chars_max=4) == "abcd"
    assert shorten("abc def", chars_max=5) == "abc…"

"""Texts that fit."""

import pytest

from engine.portal.text_width import fit, measure

FAMILY = "👩‍👩‍👧‍👦"


def test_a_short_text_stays_as_it_is():
    assert fit("Score risk", width=150, size=13) == "Score risk"


def test_a_long_text_is_cut_with_an_ellipsis_and_fits():
    cut = fit("Wait for the change advisory board of the region", width=150, size=13)

    assert cut.endswith("…")
    assert len(cut) > 15
    assert measure(cut, size=13) <= 150


@pytest.mark.parametrize(
    "text", ["W" * 300, "i" * 300, "承認待ち" * 80, "🚀" * 300, "\u0627" * 300]
)
def test_any_script_fits(text):
    cut = fit(text, width=150, size=13)

    assert len(cut) > 5
    assert measure(cut, size=13) <= 150


def test_no_space_is_left_before_the_ellipsis():
    assert fit("aaaa bbbbbbbbbbbbbbbb", width=54, size=13) == "aaaa…"


def test_lines_become_one_line():
    assert fit("one\n\n two\tthree", width=150, size=13) == "one two three"


def test_what_is_drawn_as_one_character_stays_whole():
    cut = fit(FAMILY * 20, width=60, size=13)

    assert cut.removesuffix("…").replace(FAMILY, "") == ""
    assert FAMILY in cut


def test_accents_are_as_wide_as_their_letters_however_they_are_written():
    assert measure("é", size=10) == measure("e\u0301", size=10) == measure("e", size=10)


def test_nothing_is_as_wide_as_nothing():
    assert fit("", width=150, size=13) == ""
    assert measure("", size=13) == 0


def test_a_text_that_is_all_marks_ends():
    assert len(fit("\u0301" * 5_000, width=150, size=13)) < 2_000

"""A timeline as the page draws it."""

from typing import Any

import pytest

from engine.portal.context.steps import StepWords, say_took
from engine.portal.context.times import view_timeline
from engine.portal.timeline import Bar, Doing, Row, Tick, Timeline


def _words(key, mark="approved", word="Succeeded"):
    return StepWords(key=key, title=key.title(), mark=mark, word=word, seconds=None, view=None)


def _row(key, attempt=1, **fields):
    bar = Bar(doing=Doing.WORK, x=12.5, width=33.333, seconds=5, is_open=False)
    known: dict[str, Any] = {"is_last": True, "bars": (bar,), "seconds": 5.0} | fields
    return Row(key=key, attempt=attempt, **known)


def _view(*rows, seconds=(0.0,), words=(), now_x=None):
    ticks = tuple(Tick(x=float(n), seconds=item) for n, item in enumerate(seconds))
    timeline = Timeline(rows=rows, ticks=ticks, now_x=now_x, total_seconds=0, people_seconds=0)
    return view_timeline(timeline, words=words or [_words("a")], link=lambda key: f"?step={key}")


def test_a_row_says_its_bars_in_words():
    (row,) = _view(_row("a#1")).rows

    assert (row.href, row.took, row.says) == ("?step=a", "5 s", "worked 5 s")
    assert (row.bars[0].x, row.bars[0].width) == ("12.5", "33.33")
    assert row.attempt == ""


def test_an_attempt_that_failed_is_a_failed_row_of_a_step_that_succeeded():
    first, second = _view(_row("a#1", is_last=False, failed=True), _row("a#1", 2)).rows

    assert (first.mark, first.attempt) == ("failed", "attempt 1")
    assert (second.mark, second.attempt) == ("approved", "attempt 2")
    assert first.id != second.id


@pytest.mark.parametrize(
    "seconds",
    [
        (0, 0.005, 0.01, 0.015),
        (0, 0.5, 1, 1.5),
        (0, 30, 60, 90, 120),
        (0, 300, 600, 900),
        (0, 1800, 3600, 5400),
        (0, 86_400, 172_800),
    ],
)
def test_marks_of_the_axis_have_different_words(seconds):
    words = [tick.words for tick in _view(seconds=seconds).ticks]

    assert words[0] == "start"
    assert len(set(words)) == len(words), words


def test_now_is_drawn_only_while_there_is_one():
    assert _view(now_x=None).now_x == ""
    assert _view(now_x=0.0).now_x == "0"
    assert _view(now_x=92.593).now_x == "92.59"


def test_a_great_many_rows_are_not_all_drawn():
    words = [_words(f"s{n}") for n in range(700)]

    view = _view(*(_row(f"s{n}#1") for n in range(700)), words=words)

    assert (len(view.rows), view.hidden_count) == (500, 200)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.0001, "1 ms"),
        (0.25, "250 ms"),
        (1, "1 s"),
        (5640, "1 h 34 min"),
    ],
)
def test_a_time_is_said_down_to_milliseconds(seconds, words):
    assert say_took(seconds) == words

"""Noting a ledger in parts and putting them together is noting it whole."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from audit.domain.meanings import Meaning
from audit.domain.report import make_report
from audit.domain.report_notes import Fact, Notes, merge, note

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
_IDS = st.sampled_from(["a", "b", "c"])
_NOUNS = {
    Meaning.RUN_BEGUN: "run",
    Meaning.RUN_ENDED: "run",
    Meaning.SAVED: "version",
    Meaning.PUBLISHED: "version",
}
# Each of these happens once to one thing, as in a ledger.
_ONCE = {
    Meaning.RUN_BEGUN,
    Meaning.RUN_ENDED,
    Meaning.REQUEST_OPENED,
    Meaning.REQUEST_CLOSED,
    Meaning.STAGE_OPENED,
    Meaning.SAVED,
}


@st.composite
def ledgers(draw):
    """Return facts with their meanings, in order."""
    happened = draw(
        st.lists(
            st.tuples(
                st.sampled_from(list(Meaning)),
                _IDS,
                _IDS,
                st.sampled_from(["approved", "rejected", "succeeded", "failed"]),
                st.integers(0, 60 * 24 * 20),
            ),
            max_size=60,
        )
    )
    told, facts = set(), []
    for number, (meaning, name, other, outcome, minute) in enumerate(
        sorted(happened, key=lambda item: item[4]), start=1
    ):
        if meaning in _ONCE and (meaning, name) in told:
            continue
        told.add((meaning, name))
        fact = Fact(
            id=number,
            kind=f"some.{meaning.value}",
            at=SINCE + timedelta(minutes=minute),
            actor=other,
            actor_kind="person",
            asked_for="",
            subject=f"{_NOUNS.get(meaning, 'request')}:{name}",
            reason="",
            policy="",
            data={
                "run": {"number": 1, "project": "p", "workflow": "w"}
                if meaning is Meaning.RUN_BEGUN
                else name,
                "request": other,
                "outcome": outcome,
                "stage": "one",
                "decision": "approve" if outcome != "rejected" else "reject",
                "person": other,
            },
        )
        facts.append((fact, meaning))
    return facts


def noted(facts):
    notes = Notes()
    for fact, meaning in facts:
        note(notes, fact, meaning)
    return notes


def report_of(notes):
    return make_report(notes, since=SINCE, until=SINCE + timedelta(days=21))


@given(ledgers(), st.lists(st.integers(0, 60), max_size=4))
def test_the_fold_of_parts_is_the_fold_of_the_whole(facts, cuts):
    edges = [0, *sorted(min(cut, len(facts)) for cut in cuts), len(facts)]
    parts = [facts[low:high] for low, high in pairwise(edges)]

    merged = Notes()
    for part in parts:
        merged = merge(merged, noted(part))

    assert report_of(merged) == report_of(noted(facts))


@given(ledgers())
def test_every_end_is_counted_once_and_shares_are_shares(facts):
    report = report_of(noted(facts))

    assert sum(report.runs.outcomes.values()) == report.runs.ended
    assert sum(row.ended for row in report.runs.workflows) == report.runs.ended
    assert sum(sum(item.runs.values()) for item in report.buckets) == report.runs.ended
    assert 0 <= report.four_eyes.covered <= report.four_eyes.ended == report.runs.ended
    assert 0 <= report.four_eyes.share <= 1000
    assert report.four_eyes.covered == sum(row.covered for row in report.runs.workflows)
    assert report.entries == len(facts)

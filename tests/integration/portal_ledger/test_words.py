"""Every kind has words, and every sentence can be said."""

import pytest

from audit import wording
from engine.domain.events import EventKind
from tests.architecture.test_stable_names import list_ledger_kinds


def test_every_kind_that_is_written_has_words():
    known = {item.kind for group in wording.list_groups() for item in group.kinds}
    written = {kind for _, kind in list_ledger_kinds()} | set(EventKind)

    assert sorted(written - known) == []


@pytest.mark.parametrize("kind", [item for group in wording.list_groups() for item in group.kinds])
def test_a_sentence_without_facts_still_reads(kind):
    said = wording.say(kind.kind, {})

    assert said
    assert not set("[]{}") & set(said)


def test_facts_stand_in_the_sentence_and_parts_without_facts_are_left_out():
    assert wording.say("vote.cast", {"decision": "approve", "stage": "peers"}) == (
        "decided: approve, in stage peers"
    )
    assert wording.say("vote.cast", {"decision": "approve"}) == "decided: approve"
    assert wording.say("step.completed", {"key": "build#1", "attempt": 2}) == (
        "saw build succeed, attempt 2"
    )
    assert wording.say("user.changed", {"fields": ["a", "b", "c", "d", "e"]}) == (
        "changed an account: a, b, c, d…"
    )
    assert "x" * 80 + "…" in wording.say("run.halted", {"code": "x" * 500})
    assert wording.say("run.halted", {"code": {"not": "a text"}}) == "halted the run"


def test_braces_in_a_fact_are_only_text():
    assert wording.say("run.halted", {"code": "[{key}]"}) == "halted the run: [{key}]"


def test_an_unknown_kind_is_called_by_its_own_words():
    assert wording.say("new_thing.was-done", {}) == "left “new thing was done” on record"
    assert wording.say_label("new_thing.was-done") == "New thing was done"
    assert wording.find_icon("new_thing.was-done") == "hash"

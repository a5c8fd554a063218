"""Runs recorded once are followed by today's code, entry by entry, to the same end.

A history that does not replay is a change that would halt runs which are open when it is deployed.
It is mended in the code, or the change gets a way for old runs; never by recording again.
"""

import json
from dataclasses import replace

import pytest

from core.kernel.types import Json
from engine.domain.plan_json import plan_to_json
from engine.domain.replaying import replay
from tests.replay.history import FOLDER, digest_of, make_history, read_history, write_history
from tests.replay.record import SCENES

PATHS = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_history_is_followed_to_the_same_end(path):
    history = read_history(path)

    made = replay(history.decider(), history.events)

    assert made.divergence is None, made.divergence
    assert made.entry_count == len(history.events)
    assert made.state.closed
    assert made.state.closing is not None
    assert str(made.state.closing.outcome) == history.outcome
    ends = {key: str(step.outcome or step.status) for key, step in made.state.steps.items()}
    assert ends == history.steps


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_plan_of_a_history_is_written_as_it_was(path):
    recorded: Json = json.loads(path.read_text(encoding="utf-8"))["plan"]

    assert plan_to_json(read_history(path).plan) == recorded


def test_every_scene_has_its_history_and_none_has_changed():
    kept = json.loads((FOLDER.parent / "digests.json").read_text(encoding="utf-8"))

    assert {path.stem for path in PATHS} == set(SCENES) == set(kept)
    assert {path.stem: digest_of(path) for path in PATHS} == kept


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_can_be_recorded_and_read_back(name, tmp_path):
    run = SCENES[name]()
    history = make_history(name, plan=run.plan, events=run.events, state=run.state)

    path = write_history(history, folder=tmp_path)

    assert read_history(path) == history
    with pytest.raises(FileExistsError):
        write_history(history, folder=tmp_path)


def test_a_history_that_leads_elsewhere_names_the_entry():
    history = read_history(FOLDER / "condition-skips.json")
    events = [
        replace(event, payloads={**event.payloads, "inputs": {"wanted": True}})
        if event.seq == 1
        else event
        for event in history.events
    ]

    made = replay(history.decider(), events)

    assert made.divergence is not None
    assert made.divergence.seq == made.entry_count + 1
    assert "skipped" in made.divergence.expected

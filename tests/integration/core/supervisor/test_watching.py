"""The supervisor says when everything is ready, however long that took."""

from types import SimpleNamespace
from typing import Any

import pytest

from core.supervisor import __main__ as supervisor


class Quiet:
    """Stands for what is started and what is printed; ends the watch after some rounds."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.said = []

    def say(self, text, **_):
        self.said.append(text)

    def revive(self):
        self.rounds -= 1
        if not self.rounds:
            raise supervisor._StopRequestedError


@pytest.mark.parametrize("slow", [True, False])
def test_a_slow_machine_is_told_that_it_is_ready_too(monkeypatch, slow):
    quiet = Quiet(6)
    answers = iter([False, False, True, True, True, True])
    watching: Any = object.__new__(supervisor._Supervisor)
    watching._printer = watching._family = quiet
    watching._launch = SimpleNamespace(port=1)
    monkeypatch.setattr(watching, "_revive_servers", lambda: None)
    monkeypatch.setattr(watching, "_welcome", lambda: "ready")
    monkeypatch.setattr(supervisor, "_answers", lambda _: next(answers))
    monkeypatch.setattr(supervisor, "_READY_SECONDS", -1.0 if slow else 60.0)
    monkeypatch.setattr(supervisor, "_POLL_SECONDS", 0)

    with pytest.raises(supervisor._StopRequestedError):
        watching._watch()

    assert quiet.said[-1] == "ready"
    assert len(quiet.said) == (2 if slow else 1)

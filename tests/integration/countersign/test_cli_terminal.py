"""The command line in a real terminal: questions, drawing, Ctrl-C."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.architecture.sources import ROOT
from tests.integration.countersign.conftest import (
    REQUEST_ID,
    RUN_ID,
    TOKEN,
    a_decision,
    a_request,
    a_run,
    a_step,
)

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, server, folder, *args, **variables):
        main, inner = pty.openpty()
        self.main, self.seen = main, ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "countersign", *args],
            cwd=ROOT,
            env={
                **{key: value for key, value in os.environ.items() if key != "NO_COLOR"},
                "COUNTERSIGN_URL": server.site.url,
                "COUNTERSIGN_TOKEN": TOKEN,
                "COUNTERSIGN_PROJECT": "shop",
                "XDG_CONFIG_HOME": str(folder),
                "NO_PROXY": "*",
                "TERM": "xterm-256color",
                "COLUMNS": "100",
                **variables,
            },
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)

    def wait_for(self, text, seconds=60.0):
        """Read until something is shown."""
        ends = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < ends, self.seen
            if not self._read():
                break
        assert text in self.shown, self.seen

    def type(self, text):
        os.write(self.main, text.encode())

    def interrupt(self):
        """Press Ctrl-C until it is heeded: one just before a read begins waits for the next key."""
        for _ in range(20):
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(3.0)
            except subprocess.TimeoutExpired:
                continue
            return

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        os.close(self.main)
        return self.process.wait(60)

    @property
    def shown(self) -> str:
        return _ESCAPES.sub("", self.seen)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.main], [], [], 60.0)
        assert ready, self.seen
        try:
            data = os.read(self.main, 65_536)
        except OSError:  # its other end is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def start(server, tmp_path):
    """Start commands in terminals; none outlives its test."""
    started: list[Terminal] = []

    def begin(*args, **variables):
        started.append(Terminal(server, tmp_path, *args, **variables))
        return started[-1]

    yield begin
    for terminal in started:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait(60)


@pytest.fixture
def asked(server):
    server.on(f"GET requests/{REQUEST_ID}/", a_request(confirm="I have looked"))
    server.on(f"POST requests/{REQUEST_ID}/decide/", a_decision())
    return server


def test_a_decision_is_made_by_a_yes_which_ticks_the_box(start, asked):
    terminal = start("approve", REQUEST_ID)
    terminal.wait_for("I have looked. Approve? [y/N]")
    assert "If you approve: It is deployed." in terminal.shown
    terminal.type("y\n")

    assert terminal.end() == 0, terminal.seen
    assert asked.bodies(f"POST requests/{REQUEST_ID}/decide/")[0]["confirmed"] is True


def test_anything_but_a_yes_decides_nothing(start, asked):
    terminal = start("approve", REQUEST_ID)
    terminal.wait_for("[y/N]")
    terminal.type("\n")

    assert terminal.end() == 1
    assert "Nothing was decided." in terminal.shown
    assert asked.received(f"POST requests/{REQUEST_ID}/decide/") == []


def test_interrupting_a_question_decides_nothing(start, asked):
    terminal = start("approve", REQUEST_ID)
    terminal.wait_for("[y/N]")
    terminal.interrupt()

    assert terminal.end() == 130, terminal.seen
    assert "Traceback" not in terminal.shown
    assert asked.received(f"POST requests/{REQUEST_ID}/decide/") == []


def test_a_token_that_is_typed_is_not_shown(start, server):
    server.on("GET me/", {"username": "mara", "name": "Mara", "kind": "person", "token": None})
    terminal = start("login")
    terminal.wait_for("Token: ")
    terminal.type(f"{TOKEN}\n")

    assert terminal.end() == 0, terminal.seen
    assert TOKEN not in terminal.seen


def test_progress_is_drawn_in_place_and_interrupted_cleanly(start, server):
    step = a_step(status="running", outcome=None)
    server.on(f"GET runs/{RUN_ID}/", a_run(status="RUNNING", outcome="", steps=[step]))
    terminal = start("watch", RUN_ID)
    terminal.wait_for("scan#1")
    terminal.wait_for("RUNNING")
    terminal.interrupt()

    assert terminal.end() == 130, terminal.seen
    assert "The run goes on" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert "\x1b[?25h" in terminal.seen  # the cursor is there again


def test_colors_are_left_out_where_they_are_not_wanted(start, server):
    server.on("GET runs/", {"items": [a_run()], "next": None})

    assert start("runs").end() == 0
    plain = start("runs", NO_COLOR="1")

    assert plain.end() == 0
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m", plain.seen) is None

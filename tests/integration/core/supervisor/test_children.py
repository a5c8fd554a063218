"""Processes are kept running, stopped in order, and never left behind."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from core.settings.env import BASE_DIR, ProcessRole
from core.supervisor.children import Family
from core.supervisor.output import Printer
from core.supervisor.plan import Child
from core.toolkit.embedded import process

_OBEDIENT = """
import signal, sys, time
def leave(*_):
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("here", flush=True)
while True: time.sleep(60)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("here", flush=True)
while True: time.sleep(60)
"""
_WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
while True: time.sleep(60)
"""
_CRASHING = "import sys; print('crash', flush=True); sys.exit(3)"
_SECONDS = 20


class Stage:
    """A family on stage, and what it said."""

    def __init__(self):
        self.output = io.StringIO()
        self.family = Family(
            printer=Printer(colored=False, output=self.output),
            variables=lambda _child: dict(os.environ),
        )

    def start(self, name, code, *, stop_stage=1, stop_seconds=10.0):
        self.family.start(
            Child(
                name=name,
                role=ProcessRole.COMMAND,
                command=(sys.executable, "-c", code),
                stop_stage=stop_stage,
                stop_seconds=stop_seconds,
            )
        )

    def wait_for(self, text, *, count=1):
        deadline = time.monotonic() + _SECONDS
        while self.output.getvalue().count(text) < count:
            assert time.monotonic() < deadline, self.output.getvalue()
            self.family.revive()
        return self.output.getvalue()


@pytest.fixture
def stage():
    on_stage = Stage()
    yield on_stage
    on_stage.family.kill()
    on_stage.family.stop()


def test_a_child_that_is_told_to_stop_gets_to_say_goodbye(stage):
    stage.start("one", _OBEDIENT)
    stage.wait_for("one      | here")

    stage.family.stop()

    stage.wait_for("one      | leaving")


def test_children_stop_stage_by_stage(stage):
    stage.start("last", _OBEDIENT, stop_stage=2)
    stage.start("first", _OBEDIENT, stop_stage=1)
    stage.wait_for("| here", count=2)

    stage.family.stop()

    text = stage.wait_for("| leaving", count=2)
    assert text.index("first    | leaving") < text.index("last     | leaving")


def test_a_child_that_does_not_listen_is_killed_and_named(stage):
    stage.start("deaf", _STUBBORN, stop_seconds=0.2)
    stage.wait_for("deaf     | here")

    stage.family.stop()

    assert "deaf does not stop within 0.2 s; killing it" in stage.output.getvalue()


def test_a_crashed_child_is_started_again_after_a_growing_pause(stage):
    stage.start("weak", _CRASHING)

    text = stage.wait_for("weak     | crash", count=2)

    assert "weak ended (status 3); starting it again in 0.5 s" in text
    stage.wait_for("starting it again in 1 s")


def test_a_killed_child_is_named_by_its_signal(stage):
    stage.start("victim", "import os; os.kill(os.getpid(), 9)")

    stage.wait_for("victim ended (SIGKILL)")


def test_what_a_child_started_itself_ends_with_it(stage):
    stage.start("parent", _WITH_CHILD)
    text = stage.wait_for("parent   | child")
    grandchild = int(text.split("child ")[1].split()[0])

    stage.family.stop()

    assert process.wait_until_gone(grandchild, seconds=_SECONDS)


_SUPERVISOR = """
import os, sys, time
from core.settings.env import ProcessRole
from core.supervisor.children import Family
from core.supervisor.output import Printer
from core.supervisor.plan import Child
family = Family(printer=Printer(colored=False), variables=lambda child: dict(os.environ))
family.start(Child(name="child", role=ProcessRole.COMMAND, stop_stage=1,
    command=("/bin/sh", "-c", "echo $$; exec sleep 600")))
time.sleep(600)
"""


def test_children_end_when_the_supervisor_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout
        child = int(supervisor.stdout.readline().split("|")[1])
        assert process.is_alive(child)
        supervisor.send_signal(signal.SIGKILL)

    assert process.wait_until_gone(child, seconds=_SECONDS)

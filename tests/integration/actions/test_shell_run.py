"""Programs as steps, for real."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.kernel import limits
from engine import registry
from engine.actions import shell_run
from engine.actions.shell_run import SPEC
from tests.fakes.flow import compile_text, compile_with

PYTHON = sys.executable


def script(text):
    return [PYTHON, "-c", text]


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition, *, seconds=10.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


def test_a_program_gets_its_arguments_as_they_are_and_its_input(execute):
    text = (
        "import sys; print(sys.argv[1:], sys.stdin.read(), end=''); print('aside', file=sys.stderr)"
    )

    made = execute(SPEC, argv=[*script(text), "$HOME; ls", "*"], stdin="grüße")

    assert made == {
        "exit": 0,
        "stdout": "['$HOME; ls', '*'] grüße",
        "stderr": "aside\n",
        "truncated": False,
    }


def test_a_program_sees_nothing_of_the_workers_environment(execute, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not tell")

    made = execute(SPEC, argv=["/usr/bin/env"], env={"REGION": "eu"})

    seen = dict(line.split("=", 1) for line in made["stdout"].splitlines())
    assert sorted(seen) == ["HOME", "IDEMPOTENCY_KEY", "LANG", "PATH", "REGION", "TMPDIR"]
    assert (seen["REGION"], seen["IDEMPOTENCY_KEY"]) == ("eu", "run:step#1:1")


def test_each_program_has_an_empty_directory_that_is_gone_afterwards(execute):
    text = "import os; print(os.getcwd(), os.listdir('.')); open('left', 'w').close()"

    first = execute(SPEC, argv=script(text))["stdout"].split()
    second = execute(SPEC, argv=script(text))["stdout"].split()

    assert (first[1], second[1]) == ("[]", "[]")
    assert first[0] != second[0]
    assert not Path(first[0]).exists()


def test_a_status_may_be_expected_and_otherwise_fails(execute, failure):
    argv = script("import sys; print('no such table', file=sys.stderr); sys.exit(3)")

    assert execute(SPEC, argv=argv, expect={"exit": [0, 3]})["exit"] == 3
    failed = failure(SPEC, argv=argv)
    assert failed.kind == "exit"
    assert failed.message == f"{PYTHON} ended with status 3: no such table"


def test_a_program_that_is_not_there_is_a_wrong_argument(failure):
    failed = failure(SPEC, argv=["no-such-program"])

    assert failed.kind == "invalid"
    assert failed.message == "no-such-program cannot be executed: No such file or directory."


def test_a_program_over_its_time_is_killed_with_all_it_started(failure, tmp_path):
    note = tmp_path / "pids"
    text = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )

    failed = failure(SPEC, argv=script(text), seconds=2.0)

    assert (failed.kind, failed.message) == ("timeout", "The program ran over 2 s.")
    pids = [int(pid) for pid in note.read_text(encoding="ascii").split()]
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_what_a_program_leaves_behind_is_killed(execute):
    text = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)"
    )

    made = execute(SPEC, argv=script(text))

    wait_until(lambda: not is_alive(int(made["stdout"])))


def test_a_program_nobody_needs_is_stopped(failure):
    began = time.monotonic()

    failed = failure(SPEC, argv=["/bin/sleep", "60"], asks_cancelled=lambda: True)

    assert failed.kind == "permanent"
    assert time.monotonic() - began < 10


def test_a_program_killed_by_a_signal_fails(failure):
    failed = failure(SPEC, argv=script("import os; os.kill(os.getpid(), 11)"))

    assert (failed.kind, failed.message) == ("permanent", f"{PYTHON} was killed by signal 11.")


def test_memory_is_bounded(failure, settings):
    settings.SHELL_MEMORY_MB = 200

    failed = failure(SPEC, argv=script("x = bytearray(400_000_000)"))

    assert failed.kind == "exit"
    assert "MemoryError" in failed.message


def test_of_long_output_the_end_is_kept(execute):
    byte_count = limits.SHELL_OUTPUT_BYTES_MAX

    made = execute(SPEC, argv=script(f"print('a' * {byte_count * 3}); print('the end')"))

    assert made["truncated"] is True
    assert made["stdout"].endswith("a\nthe end\n")
    assert len(made["stdout"]) == byte_count


def test_output_that_is_no_text_is_kept_as_text(execute):
    made = execute(SPEC, argv=script(r"import os; os.write(1, b'a\xff\x00b\n')"))

    assert made["stdout"] == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b\n"


def test_a_program_that_reads_no_input_is_no_error(execute):
    assert execute(SPEC, argv=["/bin/true"], stdin="x" * 900_000)["exit"] == 0


def test_a_program_dies_with_its_worker(tmp_path):
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    worker = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-I', '-S', sys.argv[1], str(2**30), str(os.getpid())]\n"
        "subprocess.Popen([*command, sys.executable, '-c', sys.argv[2]]).wait()"
    )
    process = subprocess.Popen([*script(worker), str(shell_run.LAUNCHER), program])
    wait_until(lambda: note.exists() and note.read_text(encoding="ascii"))
    pid = int(note.read_text(encoding="ascii"))
    assert is_alive(pid)

    process.send_signal(signal.SIGKILL)
    process.wait()

    wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"argv": []},
        {"argv": [""]},
        {"argv": "ls -l"},
        {"argv": ["ls", "a\x00b"]},
        {"argv": ["ls"], "env": {"LD_PRELOAD": "x"}},
        {"argv": ["ls"], "env": {"PATH": "/tmp"}},
        {"argv": ["ls"], "env": {"PYTHONPATH": "/tmp"}},
        {"argv": ["ls"], "shell": True},
    ],
)
def test_wrong_arguments_are_refused(failure, arguments):
    assert failure(SPEC, **arguments).kind == "invalid"


@pytest.mark.parametrize("argv", ['["${{ inputs.code }}"]', '"${{ inputs.code }}"'])
def test_data_chooses_no_program(argv):
    found = compile_with(SPEC, f"{{argv: {argv}}}").problems

    assert [item.path for item in found] == ["/steps/s/with/argv"]
    assert "data chooses no code" in found[0].message


def test_programs_are_off_unless_the_deployment_turns_them_on():
    assert SPEC.reference not in registry.actions()

    found = compile_text(
        "schema: flow/v1\nkind: dag\nname: x\n"
        "steps:\n  s: {uses: shell/run@1, with: {argv: [ls]}}\n"
    ).problems

    assert [item.message for item in found] == [
        "`shell/run@1` is switched off in this deployment (`SHELL_RUN`)."
    ]

"""Programs as steps, for real."""

import os
import signal
import subprocess
import sys
import threading
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


def test_a_program_and_its_children_die_with_its_worker(tmp_path):
    note = tmp_path / "pids"
    program = (
        "import os, subprocess, sys, time\n"
        "nested = 'import subprocess, sys, time; subprocess.Popen([sys.executable, \"-c\", '\n"
        "nested += '\"import os, time; print(os.getpid(), flush=True); time.sleep(60)\"]);'\n"
        "nested += 'time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', nested], stdout=subprocess.PIPE)\n"
        "grandchild = int(child.stdout.readline())\n"
        f"at = {str(note)!r}\n"
        "open(at + '.part', 'w').write(f'{os.getppid()} {os.getpid()} {child.pid} {grandchild}')\n"
        "os.rename(at + '.part', at)\n"
        "time.sleep(60)"
    )
    worker = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-I', '-S', sys.argv[1], str(2**30), str(os.getpid())]\n"
        "subprocess.Popen([*command, sys.executable, '-c', sys.argv[2]]).wait()"
    )
    process = subprocess.Popen([*script(worker), str(shell_run.LAUNCHER), program])
    wait_until(note.exists, seconds=30)
    pids = [int(pid) for pid in note.read_text(encoding="ascii").split()]
    assert len(set(pids)) == 4
    assert all(is_alive(pid) for pid in pids)

    process.send_signal(signal.SIGKILL)
    process.wait()

    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_program_that_signals_its_group_is_told_by_its_own_end(execute, failure):
    survives = (
        "import os, signal\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "    os.kill(0, number)\n"
        "print('done')"
    )

    made = execute(SPEC, argv=script(survives))
    failed = failure(SPEC, argv=script("import os, signal; os.kill(0, signal.SIGTERM)"))

    assert (made["exit"], made["stdout"]) == (0, "done\n")
    assert (failed.kind, failed.message) == ("permanent", f"{PYTHON} was killed by signal 15.")


@pytest.mark.parametrize("number", [2, 6, 9, 13, 15])
def test_the_signal_that_killed_a_program_is_told(failure, number):
    failed = failure(
        SPEC,
        argv=script(
            f"import signal, os; signal.signal({number}, signal.SIG_DFL)"
            f" if {number} != 9 else None; os.kill(os.getpid(), {number})"
        ),
    )

    assert (failed.kind, failed.message) == (
        "permanent",
        f"{PYTHON} was killed by signal {number}.",
    )


@pytest.mark.parametrize("status", [1, 127, 128, 255])
def test_every_status_is_told(execute, status):
    made = execute(SPEC, argv=script(f"raise SystemExit({status})"), expect={"exit": [status]})

    assert made["exit"] == status


def test_a_program_has_the_signals_programs_expect(execute):
    made = execute(SPEC, argv=["/bin/grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"])

    masks = [int(line.split()[1], 16) for line in made["stdout"].splitlines()]
    kept = 0b11 << 31  # 32 and 33, which the C library lets nobody set: they are inherited
    assert [mask & ~kept for mask in masks] == [0, 0]


def test_more_arguments_than_the_system_takes_are_wrong(failure):
    failed = failure(SPEC, argv=["/bin/true", *["x" * 20_000] * 199])

    assert (failed.kind, failed.message) == (
        "invalid",
        "The program cannot be started: Argument list too long.",
    )


def test_a_stream_held_by_somebody_who_left_is_given_up(execute):
    text = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],\n"
        "    start_new_session=True)\n"
        "print(child.pid, flush=True)"
    )
    before = set(threading.enumerate())
    began = time.monotonic()

    made = execute(SPEC, argv=script(text), stdin="x" * 900_000)

    pid = int(made["stdout"])
    try:
        assert is_alive(pid)  # it left the group: that is what the page says
        assert time.monotonic() - began < 20
        assert set(threading.enumerate()) <= before
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"argv": []},
        {"argv": [""]},
        {"argv": "ls -l"},
        {"argv": ["ls", "a\x00b"]},
        {"argv": ["ls"], "env": {"LD_PRELOAD": "x"}},
        {"argv": ["ls"], "env": {"lower": "x"}},
        {"argv": ["ls"], "env": {"NEWLINE\n": "x"}},
        {"argv": ["ls"], "shell": True},
    ],
)
def test_wrong_arguments_are_refused(failure, arguments):
    assert failure(SPEC, **arguments).kind == "invalid"


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "BASH_ENV",
        "BASHOPTS",
        "ENV",
        "SHELLOPTS",
        "PS4",
        "IFS",
        "PERL5OPT",
        "PERL5LIB",
        "RUBYOPT",
        "RUBYLIB",
        "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "GCONV_PATH",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "OPENSSL_CONF",
    ],
)
def test_no_name_makes_a_program_load_code(failure, name):
    assert failure(SPEC, argv=["/bin/true"], env={name: "x"}).kind == "invalid"


@pytest.mark.parametrize("name", ["ENVIRONMENT", "REGION", "PATH_PREFIX", "NODE_ENV", "IFSC"])
def test_other_names_are_handed_on(execute, name):
    assert f"{name}=x" in execute(SPEC, argv=["/usr/bin/env"], env={name: "x"})["stdout"]


def test_data_chooses_no_names_of_the_environment():
    found = compile_with(SPEC, '{argv: [ls], env: "${{ inputs.code }}"}').problems
    fine = compile_with(SPEC, '{argv: [ls], env: {REGION: "${{ inputs.code }}"}}').problems

    assert [item.path for item in found] == ["/steps/s/with/env"]
    assert "only their values" in found[0].message
    assert fine == ()


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

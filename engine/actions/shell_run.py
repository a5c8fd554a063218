"""The action `shell/run@1`: one program with arguments, no shell. Read `SPEC` first.

Off unless the deployment turns it on (`SHELL_RUN`): whoever may edit a definition then chooses
programs that run on the workers' machines, as the workers' account.
"""

import contextlib
import errno
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from core.kernel.limits import (
    SHELL_ARGUMENT_CHARS_MAX,
    SHELL_ARGUMENT_COUNT_MAX,
    SHELL_INPUT_CHARS_MAX,
    SHELL_OUTPUT_BYTES_MAX,
)
from core.kernel.types import Json
from engine import conf
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    TIMEOUT,
    TRANSIENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    recordable,
)

EXIT = "exit"  # the program ended with a status that was not expected

LAUNCHER = Path(__file__).with_name("shell_child.py")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_EXCERPT_CHARS_MAX = 500
_LOOK_SECONDS_MIN, _LOOK_SECONDS_MAX = 0.002, 0.25  # pauses between two looks whether it ended
_DRAIN_SECONDS = 1.0  # for what stands in the pipes once everybody is dead
_POLL_MS = 100  # how soon a stream that is held open by nobody of the group is given up
_CHUNK_BYTES = 65_536
_NOT_FOUND = 127  # what the launcher exits with, as shells do, when there is no such program
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(slots=True)
class _Tail:
    """The last bytes of a stream, read in a thread until its end or until `is_over`."""

    stream: IO[bytes]
    is_over: threading.Event
    kept: bytearray = field(default_factory=bytearray)
    byte_count: int = 0

    def read(self) -> None:
        """Read to the end; keep what is last."""
        with self.stream:
            while _is_ready(self.stream, select.POLLIN, is_over=self.is_over):
                chunk = os.read(self.stream.fileno(), _CHUNK_BYTES)
                if not chunk:
                    return
                self.byte_count += len(chunk)
                self.kept += chunk
                del self.kept[:-SHELL_OUTPUT_BYTES_MAX]

    @property
    def text(self) -> str:
        """Return what was kept as text, without control characters."""
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", self.kept.decode("utf-8", "replace"))


def run_program(call: ActionCall) -> Json:
    """Execute `argv` in an empty working directory of its own, which is gone afterwards.

    The program gets `PATH`, `HOME` and `TMPDIR` (the working directory), `LANG`, `IDEMPOTENCY_KEY`
    and what `env` says, nothing of the worker's environment. Names in `env` that are known to make
    programs load code are refused; no such list is complete, so let data choose values of names
    your program knows. It and everything in its process group is killed when the time of the
    attempt is over, nobody needs the result or the worker dies; what leaves the group (`setsid`)
    is not. Its address space is bounded by `SHELL_MEMORY_MB`.

    This is no sandbox: a program runs as the workers' account, and whatever that account may read,
    it may read too, such as files of the deployment and, in `/proc`, the environment of the worker.

    Returns:
        `{exit, stdout, stderr, truncated}`; of each stream the last `SHELL_OUTPUT_BYTES_MAX` bytes.

    Raises:
        ActionError: `invalid` for wrong arguments, a program there is not and more arguments than
            the system takes; `timeout`; `exit` for a status that was not expected; `permanent`
            when it was killed by a signal; `transient` when the system has no room for it.
    """
    check_arguments(SPEC.input_validator, call.arguments)
    with tempfile.TemporaryDirectory(prefix="countersign-shell-", ignore_cleanup_errors=True) as at:
        process = _start(call, directory=at)
        is_over = threading.Event()
        tails = [_Tail(stream, is_over) for stream in (process.stdout, process.stderr) if stream]
        text = cast("str", call.arguments.get("stdin", ""))
        threads = [threading.Thread(target=tail.read, daemon=True) for tail in tails]
        threads.append(threading.Thread(target=_feed, args=(process, text, is_over), daemon=True))
        for thread in threads:
            thread.start()
        try:
            _wait(process, call)
        finally:
            _kill(process)
            ends = time.monotonic() + _DRAIN_SECONDS
            for thread in threads:
                thread.join(max(0.0, ends - time.monotonic()))
            is_over.set()  # whoever left the group may hold a stream open for ever
            for thread in threads:
                thread.join()
    out, err = tails
    _check_exit(process.returncode, call.arguments, stderr=call.mask.text(err.text))
    return recordable(
        {
            "exit": process.returncode,
            "stdout": out.text,
            "stderr": err.text,
            "truncated": max(out.byte_count, err.byte_count) > SHELL_OUTPUT_BYTES_MAX,
        }
    )


def find_faults(arguments: Mapping[str, Json]) -> Sequence[tuple[tuple[str | int, ...], str]]:
    """Return what is wrong with arguments: the definition names the program and the environment."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    argv = arguments["argv"]
    if isinstance(argv, str) or (isinstance(argv, list) and "${{" in str(argv[0])):
        message = "The program is named here, not by a `${{ … }}`: data chooses no code."
        found.append((("argv",), message))
    if isinstance(arguments.get("env"), str):
        message = "The names are written here, not by a `${{ … }}`: data chooses only their values."
        found.append((("env",), message))
    return found


def _start(call: ActionCall, *, directory: str) -> subprocess.Popen[bytes]:
    arguments = cast("Mapping[str, Any]", call.arguments)
    environment = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        **arguments.get("env", {}),
        "HOME": directory,
        "TMPDIR": directory,
        "IDEMPOTENCY_KEY": call.attempt.idempotency_key,
    }
    # A small program sets the limits and starts the one wanted: code between fork and exec is not
    # safe in a process with threads.
    command = [sys.executable, "-I", "-S", str(LAUNCHER), str(conf.shell_memory_bytes())]
    try:
        return subprocess.Popen(  # noqa: S603  # an argument vector, from a reviewed definition
            [*command, str(os.getpid()), *arguments["argv"]],
            cwd=directory,
            env=environment,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Say why the system started nothing: too much was asked for, or it has no room now."""
    kind = INVALID if error.errno == errno.E2BIG else TRANSIENT
    raise ActionError(kind, f"The program cannot be started: {error.strerror}.") from error


def _is_ready(stream: IO[bytes], event: int, *, is_over: threading.Event) -> bool:
    """Wait until a stream can be read or written; say no once it is over."""
    poll = select.poll()
    poll.register(stream.fileno(), event)
    while not is_over.is_set():
        if poll.poll(_POLL_MS):
            return True
    return False


def _feed(process: subprocess.Popen[bytes], text: str, is_over: threading.Event) -> None:
    assert process.stdin is not None, "it was asked for"
    # The program may end, or not read.
    with contextlib.suppress(OSError), process.stdin as stdin:
        os.set_blocking(stdin.fileno(), False)
        left = memoryview(text.encode())
        while left and _is_ready(stdin, select.POLLOUT, is_over=is_over):
            left = left[os.write(stdin.fileno(), left) :]


def _wait(process: subprocess.Popen[bytes], call: ActionCall) -> None:
    """Wait for the end without reaping: the group keeps its number until it is killed."""
    ends, pause = time.monotonic() + call.attempt.timeout_seconds, _LOOK_SECONDS_MIN
    look = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, process.pid, look) is None:
        left = ends - time.monotonic()
        if left <= 0:
            raise ActionError(
                TIMEOUT, f"The program ran over {round(call.attempt.timeout_seconds, 2):g} s."
            )
        if call.attempt.is_cancelled:
            raise ActionError(PERMANENT, "Nobody needs the result any more.")
        call.attempt.heartbeat()
        time.sleep(min(left, pause))
        pause = min(pause * 2, _LOOK_SECONDS_MAX)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group, also what the program left behind, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _check_exit(status: int, arguments: Mapping[str, Any], *, stderr: str) -> None:
    program = arguments["argv"][0]
    if status < 0:
        raise ActionError(PERMANENT, f"{program} was killed by signal {-status}.")
    if status in arguments.get("expect", {}).get("exit", [0]):
        return
    if status == _NOT_FOUND and stderr.startswith("countersign: "):
        raise ActionError(INVALID, stderr.removeprefix("countersign: "))
    said = f": {stderr.strip()[-_EXCERPT_CHARS_MAX:]}" if stderr.strip() else "."
    raise ActionError(EXIT, f"{program} ended with status {status}{said}")


_TEXT = {"type": "string", "maxLength": SHELL_ARGUMENT_CHARS_MAX, "pattern": "^[^\\x00]*\\Z"}

# Names that change what a program loads would let data choose code. They begin with the first, or
# are the second; what begins with `_`, such as _JAVA_OPTIONS, is never allowed.
_LOADING = "LD_|DYLD_|PYTHON|GIT_|BASH|PERL5|RUBY|GCONV_|GLIBC_|OPENSSL_|LUA_|JAVA_|JDK_JAVA_"
_LOADING_WHOLE = (
    "PATH|ENV|SHELLOPTS|PS4|IFS|CDPATH|NODE_OPTIONS|NODE_PATH|CLASSPATH|PHPRC|PHP_INI_SCAN_DIR"
    "|LOCPATH|NLSPATH|EDITOR|VISUAL|PAGER"
)
_ENV_NAME = rf"^(?!{_LOADING})(?!(?:{_LOADING_WHOLE})\Z)[A-Z][A-Z0-9_]{{0,63}}\Z"

SPEC = ActionSpec(
    name="shell/run",
    version=1,
    input_schema=object_schema(
        {
            "argv": {
                "type": "array",
                "minItems": 1,
                "maxItems": SHELL_ARGUMENT_COUNT_MAX,
                "prefixItems": [{**_TEXT, "minLength": 1}],
                "items": _TEXT,
            },
            "stdin": {"type": "string", "maxLength": SHELL_INPUT_CHARS_MAX},
            "env": {
                "type": "object",
                "maxProperties": SHELL_ARGUMENT_COUNT_MAX,
                "propertyNames": {"pattern": _ENV_NAME},
                "additionalProperties": _TEXT,
            },
            "expect": object_schema(
                {
                    "exit": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "integer", "minimum": 0, "maximum": 255},
                    }
                }
            ),
        },
        required=("argv",),
    ),
    output_schema=object_schema(
        {
            "exit": {"type": "integer"},
            "stdout": {"type": "string"},
            "stderr": {"type": "string"},
            "truncated": {"type": "boolean"},
        },
        required=("exit", "stdout", "stderr", "truncated"),
    ),
    idempotent=False,
    pure=False,
    execute=run_program,
    find_faults=find_faults,
)

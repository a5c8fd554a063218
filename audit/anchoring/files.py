"""A folder that keeps each tree head as a file of its own. Read `keep_note`.

Made for folders whose files cannot be changed once written (object lock, WORM, append-only
attributes): a file is made exclusively, synced, and never written again. The name is the tree's
size in 20 digits, so that names sort as numbers; each log has a folder of its own inside.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from audit.anchoring.rows import NewestHead
from audit.domain.checkpoints import Checkpoint, parse_checkpoint
from audit.domain.errors import NoteInvalidError, NoteUnverifiedError
from audit.domain.notes import NOTE_BYTES_MAX, VerifierKey, open_note
from audit.outward.posting import Failure
from audit.outward.targets import FileAnchor

_NAME: Final = re.compile(r"([0-9]{20})\.note")
_MODE: Final = 0o444  # nobody has a reason to write it
# What file systems answer that have no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def keep_note(
    anchor: FileAnchor, head: NewestHead, *, keys: tuple[VerifierKey, ...]
) -> str | Failure:
    """Keep a tree head; return its file's name, or why it was not kept.

    A file that is there already is read instead: the same tree is a success, as after a crash, and
    another tree an alarm, and so is a larger one.
    """
    folder = folder_of(anchor, origin=head.origin)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        newest = max(list_sizes(folder), default=-1)
        if newest > head.size:
            return _compare_larger(folder, newest, origin=head.origin, keys=keys)
        path = folder / name_of(head.size)
        if newest == head.size:
            return _compare(path, head, keys=keys)
        _write(path, head.note.encode())
    except FileExistsError:
        return _compare(folder / name_of(head.size), head, keys=keys)
    except OSError as error:
        return Failure(reason=f"{folder}: {error.strerror or error}.")
    return path.name


def folder_of(anchor: FileAnchor, *, origin: str) -> Path:
    """Return where the tree heads of one log are."""
    return Path(anchor.folder) / quote(origin, safe="")


def name_of(size: int) -> str:
    """Return the name of the file for a tree of a size."""
    return f"{size:020d}.note"


def list_sizes(folder: Path) -> Iterator[int]:
    """Yield the sizes of the tree heads in a folder, in no order; nothing if it is not there."""
    with suppress(FileNotFoundError), os.scandir(folder) as items:
        for item in items:
            match = _NAME.fullmatch(item.name)
            if match is not None:
                yield int(match[1])


def read_head(path: Path, *, keys: tuple[VerifierKey, ...]) -> Checkpoint:
    """Return what a kept note says, having checked who signed it.

    Raises:
        NoteInvalidError: if it is no note, or cut short.
        NoteUnverifiedError: if none of the keys signed it.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(NOTE_BYTES_MAX + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NoteInvalidError(f"{path} is no text.") from error
    checkpoint = parse_checkpoint(open_note(text, keys).text)
    if name_of(checkpoint.size) != path.name:
        raise NoteInvalidError(f"{path} holds the tree head of {checkpoint.size} entries.")
    return checkpoint


def _compare(path: Path, head: NewestHead, *, keys: tuple[VerifierKey, ...]) -> str | Failure:
    """Judge a file that is there already for the size we want to keep."""
    try:
        kept = read_head(path, keys=keys)
    except (NoteInvalidError, NoteUnverifiedError) as error:
        return Failure(
            reason=f"{path} is there and is not ours: {error.message} The next tree head gets a "
            "file of its own; look at this one."
        )
    except OSError as error:
        return Failure(reason=f"{path}: {error.strerror or error}.")
    if kept.origin != head.origin:
        return Failure(reason=f"{path} is a tree head of the log {kept.origin}.")
    if kept.root != head.root:
        return Failure(
            reason=f"{path} is another tree of {head.size} entries than the database's.",
            told=(head.size, kept.root),
        )
    return path.name


def _compare_larger(
    folder: Path, size: int, *, origin: str, keys: tuple[VerifierKey, ...]
) -> Failure:
    path = folder / name_of(size)
    try:
        kept = read_head(path, keys=keys)
    except (NoteInvalidError, NoteUnverifiedError) as error:
        # Anybody may leave a file in a folder; only our own signature is an alarm.
        return Failure(reason=f"{path} is larger than our log, and not ours: {error.message}")
    except OSError as error:
        return Failure(reason=f"{path}: {error.strerror or error}.")
    if kept.origin != origin:
        return Failure(reason=f"{path} is a tree head of the log {kept.origin}.")
    return Failure(
        reason=f"{path} is a tree of {size} entries that we signed; the database has fewer.",
        told=(size, kept.root),
    )


def _write(path: Path, note: bytes) -> None:
    """Make a file with all its content at once, or fail if it is there. Synced.

    Raises:
        FileExistsError: if it is there.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    _write_new(fresh, note)
    try:
        os.link(fresh, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without links the name comes before the content; a crash between leaves a file that is
        # reported, and the next tree head gets its own.
        _write_new(path, note)
    finally:
        with suppress(OSError):
            fresh.unlink()
    _sync_folder(path.parent)


def _write_new(path: Path, note: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(number, "wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        # Some file systems know no syncing of folders; the file itself is synced.
        with suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)

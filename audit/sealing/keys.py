"""The folder of the private keys, and what was signed with them last. Read `KeyFolder` first.

The folder is the sealer's memory outside the database: `last-signed` is the newest tree head that
was signed and committed here. A database that was set back knows nothing of what it lost; this file
does, and so keeps the sealer from signing two histories under one name.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit.domain.checkpoints import Checkpoint, parse_checkpoint, write_checkpoint
from audit.domain.errors import NoteInvalidError, SealRefusal, SealRefusedError
from audit.domain.merkle import EMPTY_ROOT
from audit.domain.notes import Note, SigningKey, parse_note, write_note
from core.kernel import ids
from core.kernel.limits import SIGNING_KEY_BYTES_MAX, SIGNING_KEY_COUNT_MAX

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_SUFFIX: Final = ".key"
_LAST: Final = "last-signed"
_LOCK: Final = ".lock"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFolder:
    """One `<id>.key` for each private key, and `last-signed`. Nobody but its owner may look in."""

    def __init__(self, path: Path) -> None:
        """Say where it is. Nothing is read yet."""
        self.path = path

    def list_keys(self) -> tuple[SigningKey, ...]:
        """Return every key by its file's name; none where there is no folder.

        Raises:
            SealRefusedError: if the folder or a file is open to others, or a file holds no key.
        """
        fault = next(self.find_faults(), None)
        if fault is not None:
            raise SealRefusedError(fault, reason=SealRefusal.KEY_FOLDER)
        return tuple(_read_key(path) for path in self._files())

    def find_faults(self) -> Iterator[str]:
        """Yield what is wrong with the rights to the folder and its files, each a sentence."""
        try:
            if self.path.exists() and not self.path.is_dir():
                yield f"{self.path} is no folder."
                return
            files = self._files()
            for path in (self.path, *files) if self.path.exists() else ():
                yield from _find_faults(path)
        except OSError as error:
            yield f"{error.filename or self.path} cannot be looked at: {error.strerror}."
            return
        if len(files) > SIGNING_KEY_COUNT_MAX:
            yield f"{self.path} holds more than {SIGNING_KEY_COUNT_MAX} keys."

    def generate(self, *, name: str) -> SigningKey:
        """Make a key and its file, and the folder if it is missing.

        Raises:
            NoteInvalidError: if the name cannot stand in a note.
        """
        key = SigningKey.generate(name, seed=ids.salt())
        self.path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._write(f"{key.verifier.key_id.hex()}{_SUFFIX}", f"{key.text}\n")
        return key

    def remove(self, *, key_id: str) -> bool:
        """Delete a key's file; say whether there was one. There is no way back."""
        path = self.path / f"{key_id}{_SUFFIX}"
        if not path.exists():
            return False
        path.unlink()
        _sync(self.path)
        return True

    def read_last_signed(self) -> str | None:
        """Return the newest note that was signed and committed here, or `None`. Not checked."""
        try:
            return (self.path / _LAST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SealRefusedError(
                f"{self.path / _LAST} cannot be read: {error}.", reason=SealRefusal.KEY_FOLDER
            ) from error

    def write_last_signed(self, note: str) -> None:
        """Remember a note that was committed, unless a larger one of its log is there already.

        Sealers of one folder come here after they have let go of their lock, in any order.

        Raises:
            OSError: if it cannot be written; the commit stands.
        """
        fresh = _read_unchecked(note)
        with self._locked():
            kept = self.read_last_signed()
            if kept is not None and not _is_newer(fresh, than=kept):
                return
            self._write(_LAST, note)

    def begin(self, *, key: SigningKey) -> None:
        """Remember that nothing was signed yet: a head of the empty tree, if none is there.

        So a folder that lost its memory is told from a new one.
        """
        with self._locked():
            if self.read_last_signed() is None:
                empty = Checkpoint(origin=key.name, size=0, root=EMPTY_ROOT)
                self._write(_LAST, sign_checkpoint(empty, keys=(key,)))

    def _files(self) -> list[Path]:
        if not self.path.exists():
            return []
        return sorted(path for path in self.path.iterdir() if path.suffix == _SUFFIX)

    def _write(self, name: str, text: str) -> None:
        """Write a file whole or not at all, and have it on the disk when this returns."""
        fresh = self.path / f".{name}.{os.getpid()}.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path / name)
        _sync(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def sign_checkpoint(checkpoint: Checkpoint, *, keys: tuple[SigningKey, ...]) -> str:
    """Return a checkpoint as a note that every key signed."""
    text = write_checkpoint(checkpoint)
    return write_note(Note(text=text, signatures=tuple(key.sign(text) for key in keys)))


def _is_newer(fresh: Checkpoint, *, than: str) -> bool:
    try:
        kept = _read_unchecked(than)
    except NoteInvalidError:
        return True  # what cannot be read remembers nothing
    return fresh.origin != kept.origin or fresh.size > kept.size


def _read_unchecked(note: str) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def _read_key(path: Path) -> SigningKey:
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(SIGNING_KEY_BYTES_MAX)
        return SigningKey.parse(text.removesuffix("\n"))
    except (OSError, UnicodeDecodeError, NoteInvalidError) as error:
        raise SealRefusedError(
            f"{path} holds no signing key: {error}", reason=SealRefusal.KEY_FOLDER
        ) from error


def _find_faults(path: Path) -> Iterator[str]:
    found = path.stat()
    if found.st_uid not in {os.geteuid(), 0}:
        yield f"{path} belongs to another account; chown it to the sealer's."
    if found.st_mode & _OTHERS:
        mode = "700" if path.is_dir() else "600"
        yield f"{path} is open to others; chmod {mode} it."


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

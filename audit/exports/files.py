"""The files of exports. Read `PartFile`, then `part_writer`.

Each export has a folder of its own, which only this account can read, named by its id. Parts are
written under a name of their turn and then renamed, so that a file with its final name is whole.
"""

import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

from audit import conf
from audit.domain.bundles import DEFLATE_LEVEL, DEFLATED, STORED

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_PRODUCT = "export"  # the finished file


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFile:
    """What was written: a file's name in the folder, and what an archive says of its bytes."""

    name: str
    role: str  # entries, payloads, runs or lines
    method: int
    size: int
    packed_size: int
    crc: int
    sha256_hex: str


class PartWriter:
    """A file that is being written: what goes in is packed, counted and hashed on the way."""

    def __init__(self, path: Path, *, name: str, role: str, method: int) -> None:
        """Open the file; what an earlier attempt left under its name is overwritten."""
        self._file = os.fdopen(open_private(path), "wb")
        self._name, self._role, self._method = name, role, method
        self._packer = (
            zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            if method == DEFLATED
            else None
        )
        self._digest = sha256()
        self._size = self._packed_size = self._crc = 0

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was written so far."""
        return self._size == 0

    def write(self, content: bytes) -> None:
        """Add bytes. Raises: OSError."""
        self._size += len(content)
        self._crc = zlib.crc32(content, self._crc)
        self._put(content if self._packer is None else self._packer.compress(content))

    def close(self) -> PartFile:
        """End the file, on the disk; return what it is. Raises: OSError."""
        if self._packer is not None:
            self._put(self._packer.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return PartFile(
            name=self._name,
            role=self._role,
            method=self._method,
            size=self._size,
            packed_size=self._packed_size,
            crc=self._crc,
            sha256_hex=self._digest.hexdigest(),
        )

    def abandon(self) -> None:
        """Close the file, whatever is in it."""
        self._file.close()

    def _put(self, packed: bytes) -> None:
        if packed:
            self._packed_size += len(packed)
            self._digest.update(packed)
            self._file.write(packed)


def make_folder(*, export_id: UUID) -> Path:
    """Return the folder of an export, made if it is not there. Raises: OSError."""
    folder = _folder(export_id)
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    return folder


@contextmanager
def part_writer(
    *, export_id: UUID, turn: int, name: str, role: str, method: int = STORED
) -> Iterator[PartWriter]:
    """Yield the writer of a part; whoever closes it must `keep` it. Raises: OSError."""
    path = make_folder(export_id=export_id) / _temporary(name, turn)
    writer = PartWriter(path, name=name, role=role, method=method)
    try:
        yield writer
    finally:
        writer.abandon()


def keep(*, export_id: UUID, turn: int, name: str) -> None:
    """Give a part that is closed its final name. Raises: OSError."""
    folder = _folder(export_id)
    (folder / _temporary(name, turn)).replace(folder / name)


def part_path(*, export_id: UUID, name: str) -> Path:
    """Return where a part is."""
    return _folder(export_id) / name


def product_path(*, export_id: UUID) -> Path:
    """Return where the finished file is."""
    return _folder(export_id) / _PRODUCT


def begin_product(*, export_id: UUID, turn: int) -> Path:
    """Return where a turn writes the finished file before it gets its name. Raises: OSError."""
    return make_folder(export_id=export_id) / _temporary(_PRODUCT, turn)


def open_private(path: Path) -> int:
    """Return a descriptor of a new, empty file that only this account can read. Raises: OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)


def delete_all_but_product(*, export_id: UUID) -> None:
    """Delete an export's parts. Raises: OSError."""
    folder = _folder(export_id)
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name != _PRODUCT:
                path.unlink(missing_ok=True)


def delete_all(*, export_id: UUID) -> None:
    """Delete whatever there is of an export. Raises: OSError."""
    shutil.rmtree(_folder(export_id), ignore_errors=False, onerror=_pass_over_missing)


def _pass_over_missing(_function: object, _path: str, problem: tuple[object, ...]) -> None:
    error = problem[1]
    if not isinstance(error, FileNotFoundError):
        assert isinstance(error, BaseException), "what went wrong is an exception"
        raise error


def _folder(export_id: UUID) -> Path:
    return conf.ledger_exports_dir() / str(export_id)


def _temporary(name: str, turn: int) -> str:
    return f"{name}.{turn}.part"

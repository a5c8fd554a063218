"""Parts put together into the file that is downloaded. Read `assemble`.

It can be done again at any time while the parts are there, and gives the same bytes.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from zlib import crc32

from audit.domain import bundles
from audit.domain.bundles import DEFLATED, STORED, Contents, Member
from audit.domain.exporting import ExportFormat, ExportTooLargeError, write_instant
from audit.domain.merkle import Range, batch_gaps
from audit.domain.tabular import CSV_COLUMNS, write_csv
from audit.exports import files, reading, store
from audit.exports.files import PartFile
from audit.exports.models import Export, ExportPart
from audit.stored_hashes import make_tree
from core.kernel import limits

_GAPS_PER_TREE = 200  # read ahead in one query; a `Tree` keeps what it has read


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The finished file: its bytes and their digest, and that of the manifest if it is a bundle."""

    size: int
    sha256_hex: str
    manifest_sha256_hex: str = ""


def assemble(*, job: Export) -> Product:
    """Put the parts of an export together, and give the file its name.

    Args:
        job: the export, all of whose parts are written.

    Raises:
        OSError: if a file cannot be read or written.
        LedgerCorruptError: if a stored hash of the tree is missing.
        ExportTooLargeError: if a bundle would be over the bounds of its format.
    """
    parts = store.list_parts(export_id=job.pk)
    path = files.begin_product(export_id=job.pk, turn=job.turn)
    with os.fdopen(files.open_private(path), "wb") as target:
        out = _Output(target.write)
        if job.format == ExportFormat.BUNDLE:
            manifest = _write_bundle(job, parts, out)
        else:
            manifest = b""
            _write_lines(job, parts, out)
        target.flush()
        os.fsync(target.fileno())
    path.replace(files.product_path(export_id=job.pk))
    return Product(
        size=out.size,
        sha256_hex=out.digest.hexdigest(),
        manifest_sha256_hex=sha256(manifest).hexdigest() if manifest else "",
    )


def check_bounds(*, packed_bytes: int, part_count: int) -> None:
    """Say early that a bundle will be too large. Raises: ExportTooLargeError."""
    if (
        packed_bytes > limits.EXPORT_BUNDLE_BYTES_MAX
        or 2 * part_count > limits.EXPORT_MEMBER_COUNT_MAX - 5
    ):
        raise ExportTooLargeError(packed_bytes=packed_bytes)


class _Output:
    """What is written, counted and hashed."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._write = write
        self.size = 0
        self.digest = sha256()

    def put(self, content: bytes) -> None:
        self.size += len(content)
        self.digest.update(content)
        self._write(content)

    def copy(self, path: Path) -> None:
        with path.open("rb") as source:
            while chunk := source.read(limits.EXPORT_CHUNK_BYTES):
                self.put(chunk)


def _write_lines(job: Export, parts: list[ExportPart], out: _Output) -> None:
    if job.format == ExportFormat.CSV:
        out.put(write_csv([CSV_COLUMNS]))
    for part in parts:
        for file in _files(part):
            out.copy(files.part_path(export_id=job.pk, name=file.name))


def _write_bundle(job: Export, parts: list[ExportPart], out: _Output) -> bytes:
    """Write the archive; return the bytes of its manifest."""
    assert job.tree_size is not None, "a bundle is of a pinned tree"
    note = reading.read_note(tree_size=job.tree_size).encode()
    plan: list[tuple[Member, bytes | Path]] = [_inline("checkpoint", note)]
    for role in ("entries", "payloads"):
        for part in parts:
            plan += [
                _stored(job, file, f"{role}/{part.number:06}.jsonl")
                for file in _files(part)
                if file.role == role
            ]
    plan.append(_stored(job, _write_leaves(job, parts), "leaves"))
    plan.append(_stored(job, _write_proof(job, parts), "proof"))
    manifest = bundles.write_manifest(_contents(job), [member for member, _ in plan])
    plan.append(_inline(bundles.MANIFEST, manifest))
    members = [member for member, _ in plan]
    _check_archive(members)
    for member, content in plan:
        out.put(bundles.local_header(member))
        if isinstance(content, bytes):
            out.put(content)
        else:
            out.copy(content)
    out.put(bundles.write_directory(members, manifest=manifest))
    return manifest


def _check_archive(members: list[Member]) -> None:
    size = sum(bundles.archived_size(item) + bundles.directory_size(item) for item in members)
    is_long = len(members) > limits.EXPORT_MEMBER_COUNT_MAX
    if is_long or size > limits.EXPORT_BUNDLE_BYTES_MAX - limits.EXPORT_END_BYTES:
        raise ExportTooLargeError(packed_bytes=size)


def _contents(job: Export) -> Contents:
    assert job.tree_size is not None, "a bundle is of a pinned tree"
    assert job.unsealed_count is not None, "it is counted when the tree is pinned"
    return Contents(
        kind=job.kind,
        subject=job.subject or None,
        since=write_instant(job.since),
        until=write_instant(job.until),
        entry_count=job.done_count,
        payload_count=job.payload_count,
        tree_size=job.tree_size,
        unsealed_count=job.unsealed_count,
    )


def _write_leaves(job: Export, parts: list[ExportPart]) -> PartFile:
    name = f"leaves.{job.turn}"
    with files.part_writer(
        export_id=job.pk, turn=job.turn, name=name, role="leaves", method=DEFLATED
    ) as leaves:
        for start, end in _read_ranges(job, parts):
            leaves.write(f"{start} {end - start}\n".encode())
        written = leaves.close()
    files.keep(export_id=job.pk, turn=job.turn, name=name)
    return written


def _write_proof(job: Export, parts: list[ExportPart]) -> PartFile:
    assert job.tree_size is not None, "a bundle is of a pinned tree"
    name = f"proof.{job.turn}"
    gaps = batch_gaps(_read_ranges(job, parts), size=job.tree_size)
    with files.part_writer(
        export_id=job.pk, turn=job.turn, name=name, role="proof", method=DEFLATED
    ) as proof:
        while some := list(islice(gaps, _GAPS_PER_TREE)):
            tree = make_tree(size=job.tree_size, ranges=some)
            proof.write("".join(f"{tree.subtree(*gap).hex()}\n" for gap in some).encode())
        written = proof.close()
    files.keep(export_id=job.pk, turn=job.turn, name=name)
    return written


def _read_ranges(job: Export, parts: list[ExportPart]) -> Iterator[Range]:
    """Yield the leaves of all parts as the fewest half-open ranges, ascending."""
    begin = end = 0
    for start, count in _read_runs(job, parts):
        if start != end:
            if begin < end:
                yield begin, end
            begin = start
        end = start + count
    if begin < end:
        yield begin, end


def _read_runs(job: Export, parts: list[ExportPart]) -> Iterator[tuple[int, int]]:
    """Yield the runs of each part: first leaf and number of leaves."""
    for part in parts:
        for file in _files(part):
            if file.role != "runs":
                continue
            path = files.part_path(export_id=job.pk, name=file.name)
            with path.open(encoding="ascii") as lines:
                for line in lines:
                    start, count = map(int, line.split())
                    yield start, count


def _files(part: ExportPart) -> list[PartFile]:
    return [PartFile(**file) for file in part.files]


def _stored(job: Export, file: PartFile, name: str) -> tuple[Member, Path]:
    member = Member(
        name=name,
        method=file.method,
        size=file.size,
        packed_size=file.packed_size,
        crc=file.crc,
        sha256_hex=file.sha256_hex,
    )
    return member, files.part_path(export_id=job.pk, name=file.name)


def _inline(name: str, content: bytes) -> tuple[Member, bytes]:
    member = Member(
        name=name,
        method=STORED,
        size=len(content),
        packed_size=len(content),
        crc=crc32(content),
        sha256_hex=sha256(content).hexdigest(),
    )
    return member, content

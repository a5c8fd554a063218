"""One part of an export, from the ledger to a file. Read `write_part`.

Of a bundle a part has up to three files: the entries, the openings of their payloads, and the runs
of their leaf indexes. Of every other format it has one, lines.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from json.encoder import encode_basestring
from typing import Final

from django.db import transaction

from audit.domain.bundles import DEFLATED, STORED
from audit.domain.entry import read_entry
from audit.domain.exporting import ExportFormat
from audit.domain.mapping import to_cloud_event, to_ocsf
from audit.domain.tabular import to_csv_row, to_json_line, write_csv
from audit.exports import files, reading
from audit.exports.files import PartFile, PartWriter
from audit.exports.models import Export, ExportPart
from audit.exports.reading import EntryRow, PayloadRow, Selection
from core.kernel import limits
from core.kernel.canonical import canonical_bytes

LineFunction = Callable[[EntryRow], bytes]


def write_part(
    *, job: Export, selection: Selection, number: int, after_leaf: int, source: str
) -> ExportPart | None:
    """Write the entries after a leaf, at most a part's, to files of their own.

    The same arguments give the same files, whoever writes them. Transaction: one of its own, for
    the cursors; two statements.

    Args:
        job: the export; its tree is pinned.
        selection: which entries.
        number: of this part, from 0.
        after_leaf: the last leaf index that is written, -1 for none.
        source: what CloudEvents and OCSF name as the origin.

    Returns:
        The part as a row that is not stored yet, or `None` if there are no more entries.

    Raises:
        OSError: if the files cannot be written.
    """
    write = _write_bundle_part if job.format == ExportFormat.BUNDLE else _write_lines
    with transaction.atomic():
        return write(job, selection, number, after_leaf, source)


def _write_bundle_part(
    job: Export, selection: Selection, number: int, after_leaf: int, _source: str
) -> ExportPart | None:
    entry_ids: list[int] = []
    last_leaf = after_leaf
    with ExitStack() as stack:
        entries = stack.enter_context(_writer(job, number, "entries", DEFLATED))
        payloads = stack.enter_context(_writer(job, number, "payloads", DEFLATED))
        runs = stack.enter_context(_writer(job, number, "runs", STORED))
        begin = length = -1
        rows = stack.enter_context(_read(job, selection, after_leaf))
        for row in rows:
            entries.write(row.body + b"\n")
            entry_ids.append(row.entry_id)
            if row.leaf_index != begin + length:
                _write_run(runs, begin, length)
                begin, length = row.leaf_index, 0
            length += 1
            last_leaf = row.leaf_index
        if not entry_ids:
            return None
        _write_run(runs, begin, length)
        payload_count = _write_openings(payloads, entry_ids)
        writers = [entries, runs] if payloads.is_empty else [entries, payloads, runs]
        written = [writer.close() for writer in writers]
    return _keep(job, number, last_leaf, len(entry_ids), payload_count, written)


def _write_run(runs: PartWriter, begin: int, length: int) -> None:
    if length > 0:
        runs.write(f"{begin} {length}\n".encode())


def _write_openings(payloads: PartWriter, entry_ids: list[int]) -> int:
    count = 0
    with reading.read_payloads(entry_ids=entry_ids) as rows:
        for row in rows:
            payloads.write(write_opening(row))
            count += 1
    return count


def write_opening(row: PayloadRow) -> bytes:
    """Return the line of a payload in a bundle, in the form of RFC 8785."""
    # The grammar of entries keeps names free of quotes and backslashes.
    if row.salt is None or row.value is None:
        return f'{{"erased":true,"leaf":{row.leaf_index},"name":"{row.name}"}}\n'.encode()
    value = encode_basestring(bytes(row.value).decode())
    opening = f'{{"leaf":{row.leaf_index},"name":"{row.name}","salt":"{bytes(row.salt).hex()}"'
    return f'{opening},"value":{value}}}\n'.encode()


def _write_lines(
    job: Export, selection: Selection, number: int, after_leaf: int, source: str
) -> ExportPart | None:
    write = _line_function(ExportFormat(job.format), source)
    count, last_leaf = 0, after_leaf
    with _writer(job, number, "lines", STORED) as lines:
        with _read(job, selection, after_leaf) as rows:
            for row in rows:
                lines.write(write(row))
                count += 1
                last_leaf = row.leaf_index
        if not count:
            return None
        written = [lines.close()]
    return _keep(job, number, last_leaf, count, 0, written)


def _line_function(format_: ExportFormat, source: str) -> LineFunction:
    def write_json(row: EntryRow) -> bytes:
        return to_json_line(bytes(row.body), leaf_index=row.leaf_index, leaf=bytes(row.leaf))

    def write_cells(row: EntryRow) -> bytes:
        entry = read_entry(bytes(row.body))
        return write_csv([to_csv_row(entry, leaf_index=row.leaf_index, leaf=bytes(row.leaf))])

    def write_mapped(row: EntryRow) -> bytes:
        event = map_entry(
            read_entry(bytes(row.body)),
            leaf_index=row.leaf_index,
            source=source,
            leaf_hex=bytes(row.leaf).hex(),
        )
        return canonical_bytes(event) + b"\n"

    map_entry = to_ocsf if format_ is ExportFormat.OCSF else to_cloud_event
    functions: Final[dict[ExportFormat, LineFunction]] = {
        ExportFormat.JSONL: write_json,
        ExportFormat.CSV: write_cells,
        ExportFormat.CLOUDEVENTS: write_mapped,
        ExportFormat.OCSF: write_mapped,
    }
    return functions[format_]


def _read(
    job: Export, selection: Selection, after_leaf: int
) -> AbstractContextManager[Iterator[EntryRow]]:
    assert job.tree_size is not None, "a part is of a pinned tree"
    return reading.read_entries(
        selection=selection,
        after_leaf=after_leaf,
        tree_size=job.tree_size,
        limit=limits.EXPORT_PART_ENTRY_COUNT,
    )


def _writer(job: Export, number: int, role: str, method: int) -> AbstractContextManager[PartWriter]:
    return files.part_writer(
        export_id=job.pk,
        turn=job.turn,
        name=_name(number, job.turn, role),
        role=role,
        method=method,
    )


def _keep(
    job: Export,
    number: int,
    last_leaf: int,
    entry_count: int,
    payload_count: int,
    written: list[PartFile],
) -> ExportPart:
    for file in written:
        files.keep(export_id=job.pk, turn=job.turn, name=file.name)
    return ExportPart(
        export=job,
        number=number,
        last_leaf=last_leaf,
        entry_count=entry_count,
        payload_count=payload_count,
        files=[asdict(file) for file in written],
    )


def _name(number: int, turn: int, role: str) -> str:
    # Of its turn: a worker that was taken for dead and wakes up overwrites nothing. What it writes
    # may hold a value that was redacted meanwhile.
    return f"{number:06}.{turn}.{role}"

"""The offline verifier over an export: its speed and its memory. Read `measure_verifier`."""

import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from audit.domain import bundles, checkpoints, merkle, notes
from audit.domain.bundles import DEFLATED, STORED
from audit.domain.entry import BuiltEntry, StreamHead, extend
from benchmarks.results import Row
from core.kernel import ids
from core.kernel.canonical import canonical_bytes
from core.kernel.record import Draft
from countersign import verify

BENCH = "ledger"
ENTRY_COUNT = 100_000
_STREAM_ENTRY_COUNT = 20  # of a run, more or less
_PART_LINE_COUNT = 10_000
_ROUND_COUNT = 3
_KIBIBYTE_COUNT = 1024  # in a mebibyte

# The verifier as a program of its own, and then the most memory that it had, in KiB.
_ALONE = """
import pathlib, re, runpy, sys
file, bundle, key = sys.argv[1:]
assert runpy.run_path(file)["main"]([bundle, "--key", key]) == 0
print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def measure_verifier(draft: Draft) -> Iterator[Row]:
    """Yield entries a second, best of three, and the memory of a process that does nothing else."""
    key = notes.SigningKey.generate("bench.example/ledger", seed=ids.salt())
    vkey = key.verifier.text
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        payload_count = _write_bundle(path, key, draft)
        request = verify.Request(keys=[verify.parse_key(vkey)])
        seconds = min(_time(path, request) for _ in range(_ROUND_COUNT))
        note = f"{payload_count} payloads, {path.stat().st_size} bytes packed"
        yield Row(
            bench=BENCH,
            metric="bundle_verify",
            value=round(ENTRY_COUNT / seconds),
            unit="entries/s",
            n=ENTRY_COUNT,
            note=note,
        )
        command = [sys.executable, "-I", "-c", _ALONE, verify.__file__, str(path), vkey]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
        peak = int(done.stdout.split()[-1]) / _KIBIBYTE_COUNT
        yield Row(
            bench=BENCH,
            metric="bundle_verify/memory",
            value=round(peak),
            unit="MiB",
            n=1,
            note="the verifier's own process, at most",
        )


def _time(path: Path, request: verify.Request) -> float:
    started = time.perf_counter()
    verify.verify_path(path, request)
    return time.perf_counter() - started


def _write_bundle(path: Path, key: notes.SigningKey, draft: Draft) -> int:
    """Write a bundle of everything; return its number of payloads."""
    entries = _make_entries(draft)
    leaves = [entry.leaf for entry in entries]
    checkpoint = checkpoints.Checkpoint(
        origin=key.verifier.name, size=len(leaves), root=merkle.tree_root(leaves)
    )
    text = checkpoints.write_checkpoint(checkpoint)
    note = notes.write_note(notes.Note(text=text, signatures=(key.sign(text),)))
    parts = [entries[at : at + _PART_LINE_COUNT] for at in range(0, len(entries), _PART_LINE_COUNT)]
    members = [("checkpoint", STORED, note.encode())]
    for number, part in enumerate(parts):
        lines = b"".join(entry.body + b"\n" for entry in part)
        members.append((f"entries/{number:06}.jsonl", DEFLATED, lines))
    for number, part in enumerate(parts):
        openings = _openings(part, first=number * _PART_LINE_COUNT)
        members.append((f"payloads/{number:06}.jsonl", DEFLATED, openings))
    members += [("leaves", DEFLATED, f"0 {len(leaves)}\n".encode()), ("proof", DEFLATED, b"")]
    payload_count = sum(len(entry.payloads) for entry in entries)
    contents = bundles.Contents(
        kind="whole",
        subject=None,
        since=None,
        until=None,
        entry_count=len(entries),
        payload_count=payload_count,
        tree_size=len(leaves),
        unsealed_count=0,
    )
    _write_archive(path, contents, members)
    return payload_count


def _make_entries(draft: Draft) -> list[BuiltEntry]:
    """Return entries of many streams, in the order in which runs that go on at once give them."""
    streams = [
        extend(
            head=StreamHead(stream=ids.uuid7()),
            drafts=[draft] * _STREAM_ENTRY_COUNT,
            salts=ids.salt,
        )[1]
        for _ in range(ENTRY_COUNT // _STREAM_ENTRY_COUNT)
    ]
    return [entry for entries in zip(*streams, strict=True) for entry in entries]


def _openings(part: Sequence[BuiltEntry], *, first: int) -> bytes:
    lines = [
        canonical_bytes(
            {
                "leaf": leaf,
                "name": payload.name,
                "salt": payload.salt.hex(),
                "value": payload.value_bytes.decode(),
            }
        )
        for leaf, entry in enumerate(part, start=first)
        for payload in entry.payloads
    ]
    return b"".join(line + b"\n" for line in lines)


def _write_archive(
    path: Path, contents: bundles.Contents, members: Sequence[tuple[str, int, bytes]]
) -> None:
    described = []
    with path.open("wb") as file:
        for name, method, content in members:
            described.append(_write_member(file, name, method, content))
        manifest = bundles.write_manifest(contents, described)
        described.append(_write_member(file, bundles.MANIFEST, STORED, manifest))
        file.write(bundles.write_directory(described, manifest=manifest))


def _write_member(file: BinaryIO, name: str, method: int, content: bytes) -> bundles.Member:
    packed = content
    if method == DEFLATED:
        packer = zlib.compressobj(bundles.DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(content) + packer.flush()
    member = bundles.Member(
        name=name,
        method=method,
        size=len(content),
        packed_size=len(packed),
        crc=zlib.crc32(content),
        sha256_hex=sha256(packed).hexdigest(),
    )
    file.write(bundles.local_header(member) + packed)
    return member

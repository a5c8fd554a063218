"""Proofs from a log of a million entries: how long, how large, by which plan. Read `measure`.

The log is synthetic: entries that say only their number, made by the database itself, with the
hashes a sealer would have stored. It comes last, because no other bench wants so full a ledger.
"""

import json
import random
import time
from collections.abc import Callable, Iterator

from benchmarks.harness import System
from benchmarks.results import Row, spread

BENCH = "proofs"
LEAF_COUNT = 1_000_000
_SAMPLE_COUNT = 300
_WARM_UP_COUNT = 20

_ENTRIES = """
INSERT INTO audit_entry (stream, seq, kind, at, actor, subject, leaf, body)
SELECT '0198c0de-0000-7000-8000-00000000ffff', n, 'bench.filled', now(), 'bench', 'bench',
       sha256('\\x00'::bytea || body), body
FROM (SELECT n, convert_to('{"bench":' || n || '}', 'UTF8') AS body
      FROM generate_series(1, %s::bigint) AS n) AS made ORDER BY n RETURNING id"""
_LEAVES = f"""
WITH made AS ({_ENTRIES}), placed AS (
    SELECT row_number() OVER (ORDER BY id) - 1 + %s::bigint AS place, id FROM made)
INSERT INTO audit_leaf (leaf_index, entry_id) SELECT place, id FROM placed"""  # noqa: S608 - ours
_ALL_LEAVES = """
SELECT e.leaf FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id ORDER BY l.leaf_index"""


def measure(system: System) -> Iterator[Row]:
    """Yield what proofs cost in a log of `LEAF_COUNT` entries."""
    del system  # its database is the one Django was told of
    yield from measure_log(leaf_count=LEAF_COUNT)


def measure_log(*, leaf_count: int) -> Iterator[Row]:
    """Fill the log up to a number of leaves, and yield what proofs cost in it."""
    from audit.models import Leaf  # noqa: PLC0415 - after Django's set-up
    from audit.selectors import proofs  # noqa: PLC0415 - as above
    from benchmarks.organisation import make_auditor  # noqa: PLC0415 - as above
    from core.kernel.canonical import canonical_bytes  # noqa: PLC0415 - as above

    started = time.perf_counter()
    fill(leaf_count=leaf_count)
    yield _row("fill", time.perf_counter() - started, "s", n=leaf_count)
    auditor = make_auditor()
    draw = random.Random(1)  # noqa: S311 - the same places each time
    indexes = [draw.randrange(leaf_count) for _ in range(_SAMPLE_COUNT + _WARM_UP_COUNT)]
    rows = Leaf.objects.filter(pk__in=indexes).select_related("entry")
    entries = {row.pk: row.entry for row in rows}
    sizes: list[int] = []
    texts: list[int] = []

    def prove(index: int) -> None:
        found = proofs.prove_inclusion(principal=auditor, entry_id=entries[index].pk)
        sizes.append(sum(len(item) for item in found.path))
        texts.append(len(canonical_bytes({"index": found.index, "path": found.path_hex})))

    def prove_seen(index: int) -> None:
        entry = entries[index]
        leaf, body = bytes(entry.leaf), bytes(entry.body)
        proofs.prove_leaf(entry_id=entry.pk, index=index, leaf=leaf, body=body)

    def connect(index: int) -> None:
        proofs.prove_consistency(first=index + 1, second=leaf_count)

    note = f"{leaf_count:,} leaves"
    yield from spread(BENCH, "inclusion", _times(prove, indexes), note=note)
    seen = "the same, of an entry whose row was read"
    yield from spread(BENCH, "inclusion_alone", _times(prove_seen, indexes), note=seen)
    yield _row("inclusion_bytes", max(sizes), "B", n=len(sizes), note="hashes of the longest path")
    yield _row("inclusion_json_bytes", max(texts), "B", n=len(texts), note="the same, in hex")
    yield from spread(BENCH, "consistency", _times(connect, indexes), note=note)
    yield _row("rows_by_index", float(_reads_by_index(leaf_count)), "share", n=1, note="EXPLAIN")


def fill(*, leaf_count: int) -> None:
    """Fill the log, and sign its tree with a key of the bench's own."""
    from django.db import connection, transaction  # noqa: PLC0415 - after Django's set-up

    from audit.domain.merkle import TILE_WIDTH, tree_root  # noqa: PLC0415 - as above
    from audit.models import Leaf, Node  # noqa: PLC0415 - as above

    with transaction.atomic(), connection.cursor() as cursor:
        there = Leaf.objects.count()
        cursor.execute(_LEAVES, (leaf_count - there, there))
        cursor.execute(_ALL_LEAVES)
        row, level = [bytes(item[0]) for item in cursor.fetchall()], 0
        while len(row) >= TILE_WIDTH:
            level += 1
            whole = len(row) // TILE_WIDTH * TILE_WIDTH
            row = [tree_root(row[i : i + TILE_WIDTH]) for i in range(0, whole, TILE_WIDTH)]
            Node.objects.bulk_create(
                (Node(level=level, index=index, hash=item) for index, item in enumerate(row)),
                batch_size=1_000,
                ignore_conflicts=True,
            )
        _sign(leaf_count)
    with connection.cursor() as cursor:
        for table in ("audit_entry", "audit_leaf", "audit_node"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def _sign(size: int) -> None:
    from audit.domain.checkpoints import (  # noqa: PLC0415 - after Django's set-up
        Checkpoint,
        write_checkpoint,
    )
    from audit.domain.notes import Note, SigningKey, write_note  # noqa: PLC0415 - as above
    from audit.models import TreeHead  # noqa: PLC0415 - as above
    from audit.selectors.proofs import tree  # noqa: PLC0415 - as above
    from core.kernel.clock import SYSTEM_CLOCK  # noqa: PLC0415 - as above

    key = SigningKey.generate("bench.example/ledger", seed=bytes(32))
    root = tree(size=size).root()
    text = write_checkpoint(Checkpoint(origin=key.name, size=size, root=root))
    note = write_note(Note(text=text, signatures=(key.sign(text),)))
    TreeHead.objects.create(tree_size=size, root=root, note=note, at=SYSTEM_CLOCK.now())


def _reads_by_index(leaf_count: int) -> bool:
    """Return whether hashes are read by index alone, as PostgreSQL's planner says."""
    from django.db import connection  # noqa: PLC0415 - after Django's set-up

    from audit import stored_hashes  # noqa: PLC0415 - as above

    with connection.cursor() as cursor:
        start = leaf_count // 2 // 256 * 256
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) {stored_hashes.READ}", ([start], [256], [1], [0], [256])
        )
        [(plan,)] = cursor.fetchall()
    return "Seq Scan" not in json.dumps(plan)


def _times(act: Callable[[int], None], indexes: list[int]) -> list[float]:
    """Return how long each took, in milliseconds, without those that warm up."""
    samples = []
    for index in indexes:
        started = time.perf_counter()
        act(index)
        samples.append((time.perf_counter() - started) * 1e3)
    return samples[_WARM_UP_COUNT:]


def _row(metric: str, value: float, unit: str, *, n: int, note: str = "") -> Row:
    value = round(value, 2)
    return Row(bench=BENCH, metric=metric, value=value, unit=unit, n=n, note=note or None)

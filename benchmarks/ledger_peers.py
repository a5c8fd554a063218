"""One change of one row, kept by four means, turn by turn in one run. Read `measure_peers`.

The change is the same for all: a row whose number is what it was goes to the next, committed by
itself. Kept are: nothing; our entry, chained and committed to; a row of history written by a
trigger of the database, as trigger-based history packages do it (a trigger of our own, written for
this); and django-auditlog's row for a save by the ORM. The last one's own floor is a save that
nobody keeps.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.results import Row, percentile, spread

_TURN_COUNT = 1_000
_WARM_UP_COUNT = 50  # statements are prepared and caches filled before anything counts

_COLUMNS = "(id uuid PRIMARY KEY, name text NOT NULL, seq bigint NOT NULL, head bytea NOT NULL)"
_TABLES = """
CREATE TABLE bench_plain COLUMNS;
CREATE TABLE bench_tracked COLUMNS;
CREATE TABLE bench_saved COLUMNS;
CREATE TABLE bench_audited COLUMNS;
CREATE TABLE bench_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, history_at timestamptz NOT NULL,
    history_label text NOT NULL, history_context uuid, id uuid NOT NULL, name text NOT NULL,
    seq bigint NOT NULL, head bytea NOT NULL);
CREATE INDEX bench_history_id ON bench_history (id);
CREATE FUNCTION bench_keep() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO bench_history (history_at, history_label, id, name, seq, head)
    VALUES (now(), 'update', NEW.id, NEW.name, NEW.seq, NEW.head);
    RETURN NULL;
END
$body$;
CREATE TRIGGER bench_keep AFTER UPDATE ON bench_tracked
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bench_keep();""".replace(
    "COLUMNS", _COLUMNS
)
_TABLES_GONE = """
DROP TABLE IF EXISTS bench_plain, bench_tracked, bench_saved, bench_audited, bench_history;
DROP FUNCTION IF EXISTS bench_keep();"""
_MOVE = """UPDATE {table} SET seq = %s::bigint, head = %s::bytea
WHERE id = %s::uuid AND seq = %s::bigint RETURNING id"""

# What each peer writes beside the row itself.
_STORES = {
    "ours": ("audit_entry", "audit_payload", "audit_pending"),
    "trigger_history": ("bench_history",),
    "auditlog": ("auditlog_logentry",),
}


def measure_peers(append: Callable[[], None]) -> Iterator[Row]:
    """Yield what a kept change costs each peer, and how much of it is kept.

    Args:
        append: moves a guard row with its entry, once.
    """
    times: dict[str, list[float]] = {}
    with _tables():
        acts = {
            "unlogged": _SqlRow("bench_plain").move,
            "ours": append,
            "trigger_history": _SqlRow("bench_tracked").move,
            "unlogged_orm": _make_saver("bench_saved", is_kept=False),
            "auditlog": _make_saver("bench_audited", is_kept=True),
        }
        before = {name: _stored_bytes(tables) for name, tables in _STORES.items()}
        for turn in range(_WARM_UP_COUNT + _TURN_COUNT):
            for name, act in acts.items():
                started = time.perf_counter()
                act()
                if turn >= _WARM_UP_COUNT:
                    times.setdefault(name, []).append((time.perf_counter() - started) * 1e3)
        after = {name: _stored_bytes(tables) for name, tables in _STORES.items()}
    for name, samples in times.items():
        yield from spread("ledger", f"change/{name}", samples)
    yield from _compare(times)
    for name, stored in after.items():
        count = _WARM_UP_COUNT + _TURN_COUNT
        yield Row(
            bench="ledger",
            metric=f"kept_bytes/{name}",
            value=round((stored - before[name]) / count),
            unit="B/change",
            n=count,
            note="tables and indexes",
        )


def _compare(times: dict[str, list[float]]) -> Iterator[Row]:
    median = {name: percentile(samples, 0.5) for name, samples in times.items()}
    for name, floor in (
        ("ours", "unlogged"),
        ("trigger_history", "unlogged"),
        ("auditlog", "unlogged"),
        ("auditlog", "unlogged_orm"),
        ("auditlog", "ours"),
        ("trigger_history", "ours"),
    ):
        yield Row(
            bench="ledger",
            metric=f"{name}_to_{floor}",
            value=round(median[name] / median[floor], 2),
            unit="x",
            n=_TURN_COUNT,
            note="of medians; target 1.7"
            if (name, floor) == ("ours", "unlogged")
            else "of medians",
        )


class _SqlRow:
    """A row that is moved by compare-and-swap, in one statement."""

    def __init__(self, table: str) -> None:
        from core.kernel.ids import uuid7  # noqa: PLC0415 - after Django's set-up

        self.id, self.seq = uuid7(), 0
        self.statement = _MOVE.format(table=table)
        _execute(f"INSERT INTO {table} VALUES (%s, 'x', 0, %s)", (self.id, _head(0)))  # noqa: S608 - of this module

    def move(self) -> None:
        """Go on by one."""
        head = _head(self.seq)
        _execute(self.statement, (self.seq + 1, head, self.id, self.seq))
        self.seq += 1


def _make_saver(table: str, *, is_kept: bool) -> Callable[[], None]:
    """Return what moves a row by the ORM's `save`, as a transaction of its own."""
    from auditlog.registry import auditlog  # noqa: PLC0415 - after Django's set-up
    from django.db import models, transaction  # noqa: PLC0415 - as above

    from core.kernel.ids import uuid7  # noqa: PLC0415 - as above

    fields: dict[str, Any] = {
        "id": models.UUIDField(primary_key=True),
        "name": models.TextField(),
        "seq": models.BigIntegerField(),
        "head": models.BinaryField(),
        "__module__": __name__,
        "Meta": type("Meta", (), {"app_label": "audit", "db_table": table, "managed": False}),
    }
    model: Any = type(table.title().replace("_", ""), (models.Model,), fields)
    row = model.objects.create(id=uuid7(), name="x", seq=0, head=_head(0))
    if is_kept:
        auditlog.register(model)

    def save() -> None:
        with transaction.atomic():
            row.head = _head(row.seq)
            row.seq += 1
            row.save()

    return save


@contextmanager
def _tables() -> Iterator[None]:
    """Make the tables, and keep our own copies of django-auditlog's rows out of its time."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - after Django's set-up
    from django.db.models.signals import post_save  # noqa: PLC0415 - as above

    from core.identity.settings_log import copy_to_ledger  # noqa: PLC0415 - as above

    _execute(_TABLES_GONE)
    _execute(_TABLES)
    post_save.disconnect(sender=LogEntry, dispatch_uid="identity.copy_to_ledger")
    try:
        yield
    finally:
        post_save.connect(copy_to_ledger, sender=LogEntry, dispatch_uid="identity.copy_to_ledger")
        _execute(_TABLES_GONE)


def _head(seq: int) -> bytes:
    """Return 32 bytes that change: digits, because django-auditlog cannot keep a zero byte."""
    return f"{seq:032x}".encode()


def _execute(statement: str, params: tuple[Any, ...] | None = None) -> None:
    from django.db import connection  # noqa: PLC0415 - after Django's set-up

    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def _stored_bytes(tables: tuple[str, ...]) -> int:
    from django.db import connection  # noqa: PLC0415 - after Django's set-up

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(name)) FROM unnest(%s::regclass[]) AS name",
            (list(tables),),
        )
        return int(cursor.fetchone()[0])

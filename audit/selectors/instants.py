"""Where in the ledger a period lies. Read `find_first_id`; raw SQL over `audit_entry`.

Lists come newest first by entry id, so a period is cut out by ids: every index that ends in the id
then serves it, and an old period is found without reading what is newer.
"""

from datetime import datetime

from django.db import connection

from core.kernel import limits

# Halves the range of ids until one is left: the first at or after the instant, as far as ids follow
# time. Each step is one look into the primary key.
_FIRST = """
WITH RECURSIVE narrowed(low, high) AS (
    SELECT min(id), max(id) + 1 FROM audit_entry
    UNION ALL
    SELECT CASE WHEN found.at < %(at)s THEN found.id + 1 ELSE narrowed.low END,
           CASE WHEN found.at < %(at)s THEN narrowed.high ELSE middle.id END
    FROM narrowed
    CROSS JOIN LATERAL (SELECT (narrowed.low + narrowed.high) / 2 AS id) middle
    CROSS JOIN LATERAL (
        SELECT entry.id, entry.at FROM audit_entry entry
        WHERE entry.id >= middle.id ORDER BY entry.id LIMIT 1
    ) found
    WHERE narrowed.low < narrowed.high
)
SELECT low FROM narrowed WHERE low >= high"""


def find_id_before(*, instant: datetime) -> int | None:
    """Return an id below which no entry is of an instant or later; `None` for none; 1 query.

    An entry is written within `ENTRY_LAG_MAX` of its own instant: one that were written later would
    not be found by its time.
    """
    return _find(instant - limits.ENTRY_LAG_MAX)


def find_id_after(*, instant: datetime) -> int | None:
    """Return an id from which on no entry is earlier than an instant; `None` for none; 1 query.

    See `find_id_before`.
    """
    return _find(instant + limits.ENTRY_LAG_MAX)


def _find(instant: datetime) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_FIRST, {"at": instant})
        row = cursor.fetchone()
    return None if row is None else row[0]

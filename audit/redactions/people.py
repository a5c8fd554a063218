"""Erasing who a person is from the tables of accounts. Read `erase`.

Raw SQL, and on purpose past django-auditlog: it would note the old name as what changed. The row
stays, because votes and entries name its id; two erased persons never become one.
"""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection

from audit.domain.redaction import REDACTED_TITLE

_OPEN = """
    SELECT username FROM identity_user
    WHERE person_id = %s::uuid AND kind = 'person' AND is_active ORDER BY username LIMIT 1"""

_ACCOUNTS = "SELECT id FROM identity_user WHERE person_id = %(person)s::uuid AND kind = 'person'"

_COPIES: Mapping[str, str] = {
    "auditlog_logentry": f"""
        UPDATE auditlog_logentry l SET object_repr = %(title)s, changes = '{{}}'::jsonb,
            changes_text = '', serialized_data = NULL, additional_data = NULL
        FROM django_content_type t
        WHERE t.id = l.content_type_id AND t.app_label = 'identity'
          AND t.model IN ('user', 'person')
          AND (l.object_pk = %(person)s OR l.object_pk IN (SELECT id::text FROM ({_ACCOUNTS}) a))
          AND l.object_repr <> %(title)s""",  # noqa: S608 - constants only
    "auditlog_logentry_actor": f"""
        UPDATE auditlog_logentry SET remote_addr = NULL, remote_port = NULL, actor_email = NULL
        WHERE actor_id IN ({_ACCOUNTS})
          AND (remote_addr IS NOT NULL OR remote_port IS NOT NULL OR actor_email IS NOT NULL)""",  # noqa: S608 - constants only
    "identity_user": """
        UPDATE identity_user SET name = %(title)s, email = '', password = '!',
            username = 'redacted-' || right(replace(id::text, '-', ''), 20)
        WHERE person_id = %(person)s::uuid AND kind = 'person' AND NOT is_active
          AND username !~ '^redacted-[0-9a-f]{20}$'""",
    "identity_person": """
        UPDATE identity_person SET name = %(title)s
        WHERE id = %(person)s::uuid AND name <> %(title)s""",
}


def find_open_account(*, person_id: UUID) -> str | None:
    """Return the name of an account of a person that is still open, `None` if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, (person_id,))
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def erase(*, person_id: UUID) -> Mapping[str, int]:
    """Erase name, address and log of a person's closed accounts; return how many rows changed.

    Machines that the person owned keep theirs. Again it changes nothing. Transaction: needs one.
    """
    assert connection.in_atomic_block, "an erasure and its record happen together"
    params = {"person": str(person_id), "title": REDACTED_TITLE}
    counts = {}
    with connection.cursor() as cursor:
        for table, statement in _COPIES.items():
            cursor.execute(statement, params)
            counts[table] = int(cursor.rowcount)
    return {table: count for table, count in counts.items() if count}

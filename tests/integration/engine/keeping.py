"""A field with a secret in its project, and a look for values anywhere. Read `keep`."""

import base64

from django.db import connection

from engine.services.secrets import set_secret
from tests.integration.engine.field import Field

VALUE = "hunter2/Corr3ct+horse&staple"


def keep(field: Field, name: str, value: str) -> None:
    """Set a secret of the field's project."""
    set_secret(
        principal=field.world.principal("ada"),
        project_slug=field.world.slug,
        name=name,
        value=value,
    )


def dump() -> str:
    """Return every row of every table of the engine and the ledger as one text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
            "AND table_name ~ '^(engine|audit|approvals)_'"
        )
        names = [row[0] for row in cursor.fetchall()]
        texts = []
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" t')
            texts += [row[0] for row in cursor.fetchall()]
    return "\n".join(texts)


def assert_nowhere(*values: str) -> None:
    """Check that no row holds a value: as it is, in base64, or in the hex of a bytea."""
    found = dump()
    assert "secret.created" in found
    for value in values:
        assert value not in found
        assert value.encode().hex() not in found
        assert base64.b64encode(value.encode()).decode() not in found

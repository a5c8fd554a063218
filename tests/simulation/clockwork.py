"""Time that only the simulation moves, for Python and for the database. Read `Clockwork` first.

The engine asks the database what time it is, with `clock_timestamp()`. The connections of the
simulation find another function of that name first: it reads a sequence, which no transaction
hides and no rollback turns back.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection

_BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_SCHEMA = """
    DROP SCHEMA IF EXISTS simulation CASCADE;
    CREATE SCHEMA simulation;
    CREATE SEQUENCE simulation.clock;
    CREATE FUNCTION simulation.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond'
           FROM simulation.clock $$;
    CREATE TABLE simulation.gate (
        run_id uuid, key text, open boolean, PRIMARY KEY (run_id, key));"""

SEARCH_PATH = "SET search_path TO simulation, pg_catalog, public"


class Clockwork:
    """A clock for everybody: implements `core.kernel.clock.Clock`."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SCHEMA)
        self.begin()

    def begin(self) -> None:
        """Begin again, so that every play sees the same instants to the last bit."""
        self._elapsed = timedelta(0)
        self._tell()

    def now(self) -> datetime:
        """Return the instant."""
        return _BEGIN + self._elapsed

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return self._elapsed.total_seconds()

    def advance(self, seconds: float) -> None:
        """Move on, at least by a microsecond."""
        self._elapsed += max(_MICROSECOND, timedelta(seconds=seconds))
        self._tell()

    def _tell(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval('simulation.clock', %s)", [(self.now() - _EPOCH) // _MICROSECOND]
            )


def remove() -> None:
    """Leave the database as it was."""
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS simulation CASCADE")

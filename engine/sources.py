"""What a move needs from outside before it is written. Read `EngineSources`."""

from collections.abc import Mapping
from uuid import UUID

from core.kernel import ids
from core.kernel.types import Json
from engine.domain.state import StepError


class EngineSources:
    """Ids, and what the database says about a call or an event. See `engine.domain.moving`."""

    def draw_id(self) -> UUID:
        """Return a new id."""
        return ids.uuid7()

    def refuse_call(self, body: Mapping[str, Json]) -> StepError | None:
        """Return why a run cannot be started, `None` if it can."""
        del body
        return None

    def refuse_event(self, body: Mapping[str, Json]) -> StepError | None:
        """Return why an event cannot be sent, `None` if it can."""
        del body
        return None


SOURCES = EngineSources()

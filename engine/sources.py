"""What a move needs from outside before it is written. Read `EngineSources`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core.kernel import ids
from core.kernel.types import Json
from engine.domain.state import StepError
from engine.services import children, events


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSources:
    """Ids, and what the database says about what a run wants. See `engine.domain.moving`."""

    run_id: UUID

    def draw_id(self) -> UUID:
        """Return a new id."""
        return ids.uuid7()

    def refuse_call(self, body: Mapping[str, Json]) -> StepError | None:
        """Return why a run cannot be started, `None` if it can."""
        version: Any = body["version"]
        if version is None:
            return StepError(kind="unresolved", message="no version was chosen at the start")
        inputs: Any = body["inputs"]
        return children.check_child(
            run_id=self.run_id, version_id=UUID(version["version"]), arguments=inputs
        )

    def refuse_event(self, body: Mapping[str, Json]) -> StepError | None:
        """Return why an event cannot be sent, `None` if it can."""
        return events.check_event(event_type=str(body["type"]), data=body["data"])

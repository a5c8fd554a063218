"""A waiting verb's writing half that remembers instead of asking people."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.kernel.errors import Problem
from core.kernel.record import Origin
from core.kernel.types import Json
from core.toolkit.db import require_transaction
from engine.ports import OpeningWait


@dataclass
class RememberingOpener:
    """Keeps the waits that are open. Passes `tests/contracts/test_wait_opener.py`."""

    waits: dict[tuple[UUID, str], OpeningWait] = field(default_factory=dict)

    def open(self, wait: OpeningWait) -> None:
        """Remember a wait."""
        require_transaction()
        place = (wait.run.run_id, wait.key)
        assert place not in self.waits, "a step waits once"
        self.waits[place] = wait

    def list_obstacles(
        self, *, body: Mapping[str, Json], path: str, scope_id: UUID
    ) -> Sequence[Problem]:
        """Find nothing in the way: it asks nobody."""
        del body, path, scope_id
        return ()

    def withdraw(
        self, *, run_id: UUID, keys: Collection[str], reason: str, origin: Origin, at: datetime
    ) -> Sequence[str]:
        """Forget the open waits of a run under some keys."""
        del reason, origin, at
        require_transaction()
        found = [key for run, key in self.waits if run == run_id and key in keys]
        for key in found:
            del self.waits[run_id, key]
        return found

    def void_all(self, *, run_id: UUID, reason: str, origin: Origin, at: datetime) -> Sequence[str]:
        """Forget the open waits of a run; why, by whom and when is not kept."""
        del reason, origin, at
        require_transaction()
        keys = [key for run, key in self.waits if run == run_id]
        for key in keys:
            del self.waits[run_id, key]
        return keys

"""Logs that tests seal. Read `SealedLog`."""

from pathlib import Path

from audit.sealing.keys import KeyFolder
from audit.sealing.recording import make_origin
from audit.sealing.registering import ensure_key
from audit.sealing.running import Sealer
from core.kernel.clock import FakeClock

ORIGIN = "test.example.org/ledger"


class SealedLog:
    """A key folder and a sealer, as `manage.py ledger keygen` and `seal --once` have them.

    Making one adds a key, and so an entry `key.added` in the stream `ledger`.
    """

    def __init__(self, path: Path, *, origin: str = ORIGIN) -> None:
        self.origin = origin
        self.folder = KeyFolder(path / "keys")
        self.clock = FakeClock()
        self.keys = ensure_key(folder=self.folder, name=origin, origin=make_origin()).keys

    @property
    def vkeys(self):
        """The public keys, as lines."""
        return [key.verifier.text for key in self.keys]

    def sealer(self) -> Sealer:
        return Sealer(folder=self.folder, origin=self.origin, clock=self.clock)

    def seal(self) -> int:
        """Seal whatever waits; return the number of entries."""
        return self.sealer().seal_all()

"""How a deployment seals its ledger. Read `LedgerSettings` first."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.settings.reader import Reader

_ORIGIN: Final = re.compile(r"[^\s+]{1,255}")  # it is a key's name as well: C2SP signed-note
_ORIGIN_DEFAULT: Final = "countersign.localhost/ledger"
_SEAL_SECONDS_MAX: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """What processes need to know that seal the ledger, or say where it is sealed."""

    origin: str  # the log's name in every tree head, and the name its keys sign under
    keys_dir: Path  # private keys; only the sealer reads it
    seal_seconds: int  # between two looks for entries that wait
    log_public: bool  # whether anybody may read tree heads and hashes
    redaction_second_person: bool  # whether somebody else approves that payloads are erased
    exports_dir: Path  # files of exports, until they expire


def read_ledger(reader: Reader, *, strict: bool, var: Path) -> LedgerSettings:
    """Read and check them. Without `strict` the origin has a default, for one's own machine."""
    origin = reader.text(
        "LEDGER_ORIGIN", default="" if strict else _ORIGIN_DEFAULT, required=strict
    )
    if origin and _ORIGIN.fullmatch(origin) is None:
        reader.fail(
            "LEDGER_ORIGIN",
            f"is {origin!r}; write a name such as countersign.example.org/ledger, without spaces "
            "and plus signs",
        )
    keys_dir = reader.text("LEDGER_KEYS_DIR", default="")
    exports_dir = reader.text("LEDGER_EXPORTS_DIR", default="ledger-exports")
    return LedgerSettings(
        origin=origin,
        keys_dir=(var / Path(keys_dir or "ledger-keys").expanduser()).resolve(),
        seal_seconds=reader.integer(
            "LEDGER_SEAL_SECONDS", default=1, least=1, most=_SEAL_SECONDS_MAX
        ),
        log_public=reader.boolean("LEDGER_LOG_PUBLIC", default=False),
        redaction_second_person=reader.boolean("REDACTION_SECOND_PERSON", default=True),
        exports_dir=(var / Path(exports_dir).expanduser()).resolve(),
    )

"""Every command of the command line. Read `countersign` in `countersign.cli.root` first."""

from countersign.cli import (
    accounts,
    definitions,
    exports,
    operating,
    proving,
    requests,
    runs,
    secrets,
    verifying,
)
from countersign.cli.root import countersign

# Importing a module adds its commands to the group.
COMMAND_MODULES = (
    accounts,
    definitions,
    exports,
    proving,
    runs,
    requests,
    operating,
    secrets,
    verifying,
)

__all__ = ["COMMAND_MODULES", "countersign"]

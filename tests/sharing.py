"""Which tests one worker of pytest-xdist runs one after the other. Read `unit_of` first.

Groups of xdist (`--dist loadgroup`) are lost with pytest 9.2: it ignores what xdist 3.8 writes into
a test's id, and every worker starts every system. Units by path need nothing of the kind.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

_SEVERAL = {"tests/simulation/test_engine_seeds.py"}  # one test takes as long as most files
_SHARED = {
    "tests/e2e/browser/": "browser",
    "tests/e2e/test_cli.py": "system",
    "tests/e2e/test_durability.py": "system",
    "tests/e2e/test_live.py": "system",
}
_ALONE = "test_data_survives_every_way_to_stop_and_no_process_does"  # starts its own


def unit_of(nodeid: str) -> str:
    """Return the unit of a test: those that share a system or a module's world stay together."""
    path, _, name = nodeid.partition("::")
    for start, unit in _SHARED.items():
        if path.startswith(start):
            return unit
    return nodeid if path in _SEVERAL or name == _ALONE else path


class SharingScheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out units in the order of the collection."""

    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False  # a unit of many tests is not a long one
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

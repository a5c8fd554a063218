"""Imports an installed tidyhours and prints what it says. Run by the smoke test, on its own."""

import importlib
import json
import sys

_WEEK = "Mo-Fr 09:00-12:30, 13:30-18:00; Sa 10:00-14:00; Fr 18:00-02:00"
_EXPECTED = 4 * 480 + 480 + 240

folder = sys.argv[1]
sys.path.insert(0, folder)
tidyhours = importlib.import_module("tidyhours")

print(
    json.dumps(
        {
            "version": tidyhours.__version__,
            "week_minutes": tidyhours.count_minutes(tidyhours.parse_week(_WEEK)),
            "week_minutes_expected": _EXPECTED,
            "module": str(tidyhours.__file__).removeprefix(folder),
        }
    )
)

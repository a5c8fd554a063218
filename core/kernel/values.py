"""Changing values that never change. Read `evolve`."""

from typing import Any, TypeVar

Value = TypeVar("Value")


def evolve(value: Value, /, **changes: Any) -> Value:
    """Return a copy of a frozen dataclass (one without slots) with some fields changed.

    Like `dataclasses.replace`, but it takes as long for a value of fifty fields as for one of five:
    it copies the fields in one go and does not run `__init__`.
    """
    fields = value.__dict__
    assert changes.keys() <= fields.keys(), f"{changes.keys() - fields.keys()} are no fields"
    copy = object.__new__(type(value))
    copy.__dict__.update(fields)
    copy.__dict__.update(changes)
    return copy

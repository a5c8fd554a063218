"""A small library with three bugs, for the repair example."""


def is_leap(year: int) -> bool:
    """Say whether a year has a 29th of February."""
    return year % 4 == 0


def average(values: list[float]) -> float:
    """Return the mean of some numbers, 0 for none."""
    return sum(values) / len(values)


def split_evenly(cents: int, people: int) -> list[int]:
    """Share an amount out: whole cents, nothing lost, the first ones pay what is left over."""
    return [round(cents / people)] * people

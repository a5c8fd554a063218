"""What an expression is given of the variables. Read `reach_of` and `admit` first.

Only the parts it can reach are copied: the library would convert each variable as a whole.
"""

from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

from core.kernel import limits
from engine.domain.flow.references import References

# The parts of a value an expression reaches: `None` is all of it, a map is these keys of it.
Reach: TypeAlias = "Mapping[str, Reach] | None"
# Where a value is: the place it is in, and its key there. Put into words only for a refusal.
_Place: TypeAlias = "tuple[_Place, str] | None"

_INTEGER_MAX = 2**53 - 1


class AdmissionError(ValueError):
    """A value is too long, or is nothing an expression could compare exactly."""

    def __init__(self, *, place: _Place, reason: str) -> None:
        super().__init__(f"{_written(place)} {reason}")
        self.reason = f"{_written(place)} {reason}"


def reach_of(references: References, *, names: Collection[str]) -> Mapping[str, Reach]:
    """Return the smallest parts of the variables that hold everything an expression can read."""
    reach: dict[str, Any] = {}
    for reference in references.found:
        if reference.name in names:
            keys = [reference.name]
            for field in reference.fields:
                if isinstance(field, int):
                    break  # an index needs the items before it
                keys.append(field)
            _add(reach, keys)
    return reach


def admit(value: Any, *, reach: Reach, name: str) -> Any:
    """Return a copy of a variable in plain types, pruned to what is reached.

    Raises:
        AdmissionError: something reached is over a bound, or is no JSON value.
    """
    return _admit(value, reach, (None, name))


def _add(reach: dict[str, Any], keys: Sequence[str]) -> None:
    for key in keys[:-1]:
        inner = reach.setdefault(key, {})
        if inner is None:
            return  # all of it is reached already
        reach = inner
    reach[keys[-1]] = None


def _admit(value: Any, reach: Reach, place: _Place) -> Any:
    """Copy a value. The exact types are looked at first: this runs for every condition."""
    kind = type(value)
    if kind is str:
        return _text(value, place)
    if kind is dict:
        return _map(value, reach, place)
    if kind is int or kind is float:
        return _number(value, place)
    if kind is bool or value is None:
        return value
    return _admit_alike(value, reach, place)


def _admit_alike(value: Any, reach: Reach, place: _Place) -> Any:
    """Copy a list, or a value of a type that can be read as one of JSON's."""
    if isinstance(value, str):
        return _text(str(value), place)
    if isinstance(value, Mapping):
        return _map(value, reach, place)
    if isinstance(value, Sequence):
        return _list(value, place)
    raise AdmissionError(place=place, reason=f"is {type(value).__name__}, which is not JSON")


def _text(text: str, place: _Place) -> str:
    if len(text) > limits.EXPRESSION_TEXT_CHARS_MAX:
        reason = (
            f"has {len(text)} characters; an expression may read texts of at most "
            f"{limits.EXPRESSION_TEXT_CHARS_MAX}"
        )
        raise AdmissionError(place=place, reason=reason)
    if "\x00" in text:
        raise AdmissionError(place=place, reason="holds the character NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise AdmissionError(place=place, reason="is no valid Unicode") from error
    return text


def _number(number: Any, place: _Place) -> Any:
    if isinstance(number, float) and not isfinite(number):
        raise AdmissionError(place=place, reason="is not a finite number")
    if isinstance(number, int) and abs(number) > _INTEGER_MAX:
        raise AdmissionError(place=place, reason="is an integer over 2^53-1")
    return number


def _map(value: Mapping[Any, Any], reach: Reach, place: _Place) -> dict[str, Any]:
    if reach is not None:
        return {
            key: _admit(value[key], inner, (place, key))
            for key, inner in reach.items()
            if key in value
        }
    copied: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise AdmissionError(place=place, reason="has a key that is no text")
        inside = (place, key)
        copied[_text(str(key), inside)] = _admit(item, None, inside)
    return copied


def _list(value: Sequence[Any], place: _Place) -> list[Any]:
    if len(value) > limits.LIST_ITEM_COUNT_MAX:
        reason = (
            f"has {len(value)} items; an expression may read lists of at most "
            f"{limits.LIST_ITEM_COUNT_MAX}"
        )
        raise AdmissionError(place=place, reason=reason)
    inside = (place, "[]")
    return [_admit(item, None, inside) for item in value]


def _written(place: _Place) -> str:
    """Return a place as an author would write it, such as `inputs.hosts[]`."""
    parts: list[str] = []
    while place is not None:
        place, key = place
        parts.append(key if key == "[]" else f".{key[:80]}")
    return "".join(reversed(parts)).removeprefix(".")

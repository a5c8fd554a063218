"""What a plain scalar means. Source: YAML 1.2.2 §10.3, the core schema.

`yes`, `on` and dates are texts there, unlike in YAML 1.1.
"""

import re
from math import isfinite
from typing import TypeAlias

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER_MAX = 2**53 - 1
_DIGIT_COUNT_MAX = 400  # far over any number that fits; Python refuses to read very long ones

Scalar: TypeAlias = bool | int | float | str | None


class ScalarError(ValueError):
    """A plain scalar is a number that JSON readers do not keep exactly, or not at all."""


def read_plain(text: str) -> Scalar:
    """Return the value of a scalar without quotes.

    A number without a fraction is an integer however it is written (`5.0` is 5), as in JSON, where
    the two are one value and have one digest.

    Raises:
        ScalarError: for infinities, NaN and numbers over 2^53-1.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(f"`{text}` is no number JSON can hold.")
    if text[0] not in "-+.0123456789":
        return text
    number = _read_number(text)
    if number is None:
        return text
    if isinstance(number, float) and not isfinite(number):
        raise ScalarError("The number is too large.")
    if abs(number) > _INTEGER_MAX:  # floats too: jsonb gives 1e22 back as an integer
        raise ScalarError(
            "The number is over 2^53-1, which not every reader keeps exactly; put it between "
            "quotes if it is a text."
        )
    return number


def _read_number(text: str) -> int | float | None:
    if len(text) > _DIGIT_COUNT_MAX and _FLOAT.fullmatch(text):
        raise ScalarError(f"The number has over {_DIGIT_COUNT_MAX} digits.")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0) if len(text) <= _DIGIT_COUNT_MAX else _INTEGER_MAX + 1
    if not _FLOAT.fullmatch(text):
        return None
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= _INTEGER_MAX else number

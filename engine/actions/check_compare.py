"""The action `check/compare@1`: whether a value is what it should be. Read `SPEC` first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from core.kernel.canonical import canonical_bytes
from core.kernel.limits import COMPARE_EXCERPT_CHARS_MAX, COMPARE_REPORT_COUNT_MAX
from core.kernel.types import Json
from engine.actions.contract import (
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    recordable,
)

DIFFERENT = "different"
_ANY = "*"  # in a pattern: whatever key or index

Pattern = Sequence[str]  # the keys and indexes of a JSON pointer


class Kind(StrEnum):
    """How one place differs."""

    CHANGED = "changed"
    MISSING = "missing"  # expected, and not there
    UNEXPECTED = "unexpected"  # there, and not expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place that differs; `parts` lead to it. A value that is not there is `None`."""

    parts: tuple[str | int, ...]
    kind: Kind
    expected: Json = None
    actual: Json = None

    @property
    def pointer(self) -> str:
        """Return the place as a JSON pointer. Source: RFC 6901."""
        escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in self.parts)
        return "".join(f"/{part}" for part in escaped)


def compare(call: ActionCall) -> Json:
    """Compare `actual` with `expected`, exactly, but for the places in `ignore`.

    Returns:
        `{equal, difference_count, differences: [{pointer, kind, expected?, actual?}]}`, in the
        order of the values, at most `COMPARE_REPORT_COUNT_MAX` of them, long values cut short.

    Raises:
        ActionError: `different` when `must-match` is true and something differs.
    """
    arguments = call.arguments
    check_arguments(SPEC.input_validator, arguments)
    ignored = [_read_pointer(text) for text in cast("Sequence[str]", arguments.get("ignore", []))]
    found = list(find_differences(arguments["expected"], arguments["actual"], ignored=ignored))
    if found and arguments.get("must-match") is True:
        raise ActionError(DIFFERENT, _summary(found))
    return recordable(
        {
            "equal": not found,
            "difference_count": len(found),
            "differences": [_describe(item) for item in found[:COMPARE_REPORT_COUNT_MAX]],
        }
    )


def find_differences(
    expected: Json,
    actual: Json,
    *,
    ignored: Sequence[Pattern] = (),
    parts: tuple[str | int, ...] = (),
) -> Iterator[Difference]:
    """Yield every place where two JSON values differ, down to the smallest.

    A boolean is not a number; 1 and 1.0 are the same number, as in canonical JSON. Lists are
    compared item by item: one item put in front changes every place behind it.

    Args:
        expected: what it should be.
        actual: what it is.
        ignored: places below this one that are left out, with what is inside them.
        parts: where this place is.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        keys: Iterable[str | int] = sorted(expected.keys() | actual.keys())
        left: Mapping[Any, Json] = expected
        right: Mapping[Any, Json] = actual
    elif isinstance(expected, list) and isinstance(actual, list):
        keys = range(max(len(expected), len(actual)))
        left, right = dict(enumerate(expected)), dict(enumerate(actual))
    else:
        if isinstance(expected, bool) is not isinstance(actual, bool) or expected != actual:
            yield Difference(parts=parts, kind=Kind.CHANGED, expected=expected, actual=actual)
        return
    for key in keys:
        below = [rest for first, *rest in ignored if first in {_ANY, str(key)}]
        if [] in below:
            continue
        inside = (*parts, key)
        if key not in right:
            yield Difference(parts=inside, kind=Kind.MISSING, expected=left[key])
        elif key not in left:
            yield Difference(parts=inside, kind=Kind.UNEXPECTED, actual=right[key])
        else:
            yield from find_differences(left[key], right[key], ignored=below, parts=inside)


def _read_pointer(text: str) -> Pattern:
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _describe(difference: Difference) -> dict[str, Json]:
    described: dict[str, Json] = {"pointer": difference.pointer, "kind": difference.kind.value}
    if difference.kind is not Kind.UNEXPECTED:
        described["expected"] = _excerpt(difference.expected)
    if difference.kind is not Kind.MISSING:
        described["actual"] = _excerpt(difference.actual)
    return described


def _excerpt(value: Json) -> Json:
    """Return a value, or the beginning of its text if it is long."""
    text = value if isinstance(value, str) else canonical_bytes(value).decode()
    if len(text) <= COMPARE_EXCERPT_CHARS_MAX:
        return value
    return text[: COMPARE_EXCERPT_CHARS_MAX - 1] + "…"


def _summary(found: Sequence[Difference]) -> str:
    first = found[0]
    where = first.pointer or "the whole value"
    rest = f" and {len(found) - 1} more" if len(found) > 1 else ""
    sentence = {
        Kind.CHANGED: f"{where} is {_text(first.actual)} and should be {_text(first.expected)}",
        Kind.MISSING: f"{where} is missing and should be {_text(first.expected)}",
        Kind.UNEXPECTED: f"{where} is {_text(first.actual)} and should not be there",
    }[first.kind]
    return f"{sentence}{rest}."


def _text(value: Json) -> str:
    return canonical_bytes(_excerpt(value)).decode()


SPEC = ActionSpec(
    name="check/compare",
    version=1,
    input_schema=object_schema(
        {
            "actual": True,
            "expected": True,
            "ignore": {
                "type": "array",
                "maxItems": COMPARE_REPORT_COUNT_MAX,
                "items": {"type": "string", "pattern": "^/", "maxLength": 1000},
            },
            "must-match": {"type": "boolean"},
        },
        required=("actual", "expected"),
    ),
    output_schema=object_schema(
        {
            "equal": {"type": "boolean"},
            "difference_count": {"type": "integer", "minimum": 0},
            "differences": {
                "type": "array",
                "items": object_schema(
                    {
                        "pointer": {"type": "string"},
                        "kind": {"enum": [kind.value for kind in Kind]},
                        "expected": True,
                        "actual": True,
                    },
                    required=("pointer", "kind"),
                ),
            },
        },
        required=("equal", "difference_count", "differences"),
    ),
    idempotent=True,
    pure=True,
    execute=compare,
)

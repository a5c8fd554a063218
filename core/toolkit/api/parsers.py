"""The one body format the API reads: strict JSON of bounded size. Read `StrictJsonParser` first."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from core.kernel import limits
from core.toolkit.api.errors import BodyTooLargeError, MalformedError


class StrictJsonParser(BaseParser):
    """Reads a body of UTF-8 JSON as RFC 8259 defines it, and nothing that is almost JSON.

    Refused: duplicate keys, NaN and infinities, numbers out of range, surrogate halves and U+0000
    (neither PostgreSQL nor canonical JSON can hold them), nesting over `JSON_DEPTH_MAX`, bodies
    over `BODY_BYTES_MAX`. Every value read can be stored and hashed.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body's value.

        Raises:
            BodyTooLargeError: over the bound, by its declared or its real length.
            MalformedError: for anything that is not strict JSON.
        """
        declared = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or "0"
        if declared.isdecimal() and int(declared) > limits.BODY_BYTES_MAX:
            raise _too_large()
        data = stream.read(limits.BODY_BYTES_MAX + 1)
        if len(data) > limits.BODY_BYTES_MAX:
            raise _too_large()
        return parse_json(data)


def parse_json(data: bytes) -> Any:
    """Return the value of strict JSON bytes.

    Raises:
        MalformedError: for anything else; `line` and `column` say where, if the text says so.
    """
    try:
        value = json.loads(
            data.decode("utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
        )
    except json.JSONDecodeError as error:
        msg = f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        raise MalformedError(msg, line=error.lineno, column=error.colno) from error
    except UnicodeDecodeError as error:
        msg = f"The body is not UTF-8, at byte {error.start}."
        raise MalformedError(msg) from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # an integer of more digits than Python reads
        msg = f"The body is not JSON the platform can keep: {error}"
        raise MalformedError(msg) from error
    _check_value(value, has_escapes=b"\\u" in data)
    return value


def _check_value(value: Any, *, has_escapes: bool) -> None:
    """Refuse nesting that is too deep, and characters only an escape can smuggle in.

    Iterative, because the value may be nested as deeply as the parser's own stack allowed.
    """
    level: list[Any] = [value]
    for _ in range(limits.JSON_DEPTH_MAX + 1):
        if not level:
            return
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
                if has_escapes:
                    inner.extend(item)
            elif isinstance(item, list):
                inner.extend(item)
            elif has_escapes and isinstance(item, str):
                _check_text(item)
        level = inner
    raise _too_deep()


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise MalformedError("The body holds the character U+0000, which no record can keep.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("The body holds half of a surrogate pair.") from error


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        msg = f"The body names a key twice: {', '.join(twice[:5])}."
        raise MalformedError(msg)
    return value


def _refuse_constant(name: str) -> Any:
    msg = f"{name} is not JSON."
    raise MalformedError(msg)


def _read_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        msg = f"The number {text[:40]} is out of range."
        raise MalformedError(msg)
    return value


def _too_large() -> BodyTooLargeError:
    msg = f"The body is over {limits.BODY_BYTES_MAX} bytes."
    return BodyTooLargeError(msg, bytes_max=limits.BODY_BYTES_MAX)


def _too_deep() -> MalformedError:
    return MalformedError(f"The body is nested more than {limits.JSON_DEPTH_MAX} levels deep.")

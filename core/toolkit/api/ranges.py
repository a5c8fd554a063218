"""Parts of a file, as `Range` asks for them. Read `choose_range`.

Source: RFC 9110 §14 (range requests) and §13.1.5 (`If-Range`).
"""

import re
from dataclasses import dataclass
from typing import Final

from core.toolkit.api.errors import RangeRefusedError

_RANGE: Final = re.compile(r"bytes=(?P<first>\d{0,19})-(?P<last>\d{0,19})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes `start` to before `end` of a file; `is_part` if they were asked for as a part."""

    start: int
    end: int
    is_part: bool

    @property
    def length(self) -> int:
        """Return how many bytes these are."""
        return self.end - self.start


def choose_range(
    *, range_header: str | None, if_range: str | None, size: int, etag: str
) -> ByteRange:
    """Return which bytes of a file to send.

    The whole file if no part is asked for, if the part is of another file (`If-Range`), or if
    several parts are asked for at once, which a server need not serve.

    Args:
        range_header: the header `Range`, if it was sent.
        if_range: the header `If-Range`, if it was sent; a date never matches.
        size: of the file, in bytes.
        etag: the file's strong entity tag, with its quotes.

    Raises:
        RangeRefusedError: if the part is outside the file.
    """
    whole = ByteRange(start=0, end=size, is_part=False)
    match = _RANGE.fullmatch((range_header or "").replace(" ", ""))
    if match is None or (if_range is not None and if_range.strip() != etag):
        return whole
    first, last = match["first"], match["last"]
    if not first and not last:
        return whole
    if not first:  # the last so many bytes
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return whole  # not a valid range: ignored, as §14.2 has it
    if start >= end:
        raise RangeRefusedError(size=size)
    return ByteRange(start=start, end=end, is_part=True)

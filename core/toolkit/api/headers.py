"""Request headers with a meaning of ours: `Idempotency-Key` and `If-Match`."""

import re
from typing import Final

from rest_framework.request import Request

from core.kernel import limits
from core.kernel.errors import InvalidError, Problem

_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{limits.IDEMPOTENCY_KEY_CHARS_MAX}}}")
_DIGEST_TAG: Final = re.compile(r'"(?P<digest>[0-9a-f]{64})"')


class HeaderRefusedError(InvalidError):
    """A header breaks its contract."""

    code = "api.invalid_header"
    title = "A header is not valid."


def read_idempotency_key(request: Request) -> str:
    """Return the request's `Idempotency-Key`, or "" without one.

    1 to `IDEMPOTENCY_KEY_CHARS_MAX` visible ASCII characters; one pair of quotes around them is
    taken off, because the draft standard writes the key as a quoted string.
    Source: draft-ietf-httpapi-idempotency-key-header-07.

    Raises:
        HeaderRefusedError: for an empty, too long or otherwise malformed key.
    """
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return ""
    quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
    key = text[1:-1] if quoted else text
    if not _KEY.fullmatch(key):
        raise _refused(
            "Idempotency-Key",
            f"Send 1 to {limits.IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters, no spaces.",
        )
    return key


def read_if_match(request: Request) -> str | None:
    """Return the digest in `If-Match`, 64 hex digits, or `None` without the header.

    Raises:
        HeaderRefusedError: for anything but one strong entity tag. `*` in particular says nothing
            about what was seen.
    """
    text = request.headers.get("If-Match")
    if text is None:
        return None
    match = _DIGEST_TAG.fullmatch(text.strip())
    if match is None:
        raise _refused("If-Match", 'Send the digest that was shown, as "<64 hex digits>".')
    return match["digest"]


def _refused(header: str, message: str) -> HeaderRefusedError:
    problem = Problem(message=message, path=f"header:{header}", code="invalid")
    return HeaderRefusedError(f"{header}: {message}", problems=(problem,))

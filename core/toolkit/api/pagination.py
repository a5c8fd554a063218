"""Pages of a list, by a cursor over a unique key. Read `read_page_query` first.

A cursor holds the key of the last item a page showed; the next page starts after it. So a row that
is inserted or removed between two pages never repeats or hides another, unlike page numbers.
Cursors are opaque and signed for one list, so that no client comes to depend on what is inside.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.core import signing
from rest_framework.request import Request
from rest_framework.response import Response

from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.types import Json
from core.toolkit.api.errors import InputRefusedError
from core.toolkit.api.serializers import OutputSerializer

Row = TypeVar("Row")

_LIMIT: Final = re.compile("[0-9]{1,6}")
_SALT: Final = "countersign.cursor."


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which page a client asks for.

    `after` is the key of the last item it has, as JSON keeps it, or `None` for the first page.
    `limit` is between 1 and `PAGE_SIZE_MAX`.
    """

    list_name: str
    limit: int
    after: Json = None

    @property
    def fetch_count(self) -> int:
        """Return how many rows to read: one more than are shown tells whether others follow."""
        return self.limit + 1

    def after_uuid(self) -> UUID | None:
        """Return `after` for a list whose key is a UUID."""
        return None if self.after is None else UUID(str(self.after))

    def after_text(self) -> str:
        """Return `after` for a list whose key is a text that is never empty; "" at the start."""
        return "" if self.after is None else str(self.after)

    def after_number(self) -> int | None:
        """Return `after` for a list whose key is a whole number."""
        return None if self.after is None else int(str(self.after))


def read_page_query(request: Request, *, list_name: str) -> PageQuery:
    """Return the page the query parameters `limit` and `cursor` ask for.

    Raises:
        InputRefusedError: for a limit out of range, or a cursor of another list or not ours.
    """
    text = request.query_params.get("limit", str(limits.PAGE_SIZE_DEFAULT))
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= limits.PAGE_SIZE_MAX:
        raise _refused("limit", f"Send a whole number from 1 to {limits.PAGE_SIZE_MAX}.")
    cursor = request.query_params.get("cursor")
    after = None if cursor is None else _read_cursor(cursor, list_name=list_name)
    return PageQuery(list_name=list_name, limit=int(text), after=after)


def respond_with_page(
    request: Request,
    *,
    query: PageQuery,
    rows: Sequence[Row],
    key: Callable[[Row], UUID | int | str],
    shape: type[OutputSerializer],
) -> Response:
    """Return the answer with one page.

    Args:
        request: the request, whose other query parameters the link keeps.
        query: what `read_page_query` returned.
        rows: at most `query.fetch_count` of them, in the list's order.
        key: the unique key of a row, by which the list is ordered.
        shape: of one item.
    """
    shown = rows[: query.limit]
    items = shape(shown, many=True).data
    if len(rows) <= query.limit:
        return Response({"items": items, "next": None})
    last = key(shown[-1])
    parameters = request.query_params.copy()
    parameters["cursor"] = _signer(query.list_name).sign_object(
        last if isinstance(last, int) else str(last)
    )
    parameters["limit"] = str(query.limit)
    # A reference without scheme and host is right behind any proxy. Source: RFC 3986 §4.2.
    link = f"{request.path}?{urlencode(sorted(parameters.lists()), doseq=True)}"
    return Response({"items": items, "next": link}, headers={"Link": f'<{link}>; rel="next"'})


def _read_cursor(cursor: str, *, list_name: str) -> Json:
    try:
        key: Json = _signer(list_name).unsign_object(cursor)
    except (signing.BadSignature, ValueError) as error:
        raise _refused("cursor", "Send a cursor as a page of this list gave it.") from error
    return key


def _signer(list_name: str) -> signing.Signer:
    return signing.Signer(salt=f"{_SALT}{list_name}")


def _refused(name: str, message: str) -> InputRefusedError:
    return InputRefusedError(
        problems=(Problem(message=message, path=f"query:{name}", code="invalid"),)
    )

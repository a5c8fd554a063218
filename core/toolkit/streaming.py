"""Files as answers, piece by piece, whatever serves them. Read `stream_file`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from core.kernel import limits


def stream_file(
    request: HttpRequest, *, path: Path, start: int, length: int, status: int
) -> StreamingHttpResponse:
    """Return an answer that sends bytes of a file; little is in memory at any time.

    An asynchronous server would read a plain iterator to its end before it sends anything, so it
    gets another kind.

    Args:
        request: what is answered.
        path: the file.
        start: the first byte to send.
        length: how many.
        status: of the answer.

    Raises:
        OSError: if the file cannot be opened.
    """
    file = path.open("rb")
    file.seek(start)
    kind = _PiecesLater if isinstance(request, ASGIRequest) else _Pieces
    response = StreamingHttpResponse(kind(file, length), status=status)
    response.headers["Content-Length"] = str(length)
    return response


class _Pieces:
    """Bytes of an open file; the answer closes it, also if it is never sent."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left = file, length

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._read():
            yield piece

    def close(self) -> None:
        self._file.close()

    def _read(self) -> bytes:
        piece = self._file.read(min(self._left, limits.EXPORT_CHUNK_BYTES))
        self._left -= len(piece)
        return piece


class _PiecesLater:
    """The same for an asynchronous server."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._pieces = _Pieces(file, length)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self._pieces)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    def close(self) -> None:
        self._pieces.close()

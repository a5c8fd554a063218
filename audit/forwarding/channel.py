"""A TLS connection whose end says whether the other side has read everything. Read `Channel`.

`ssl.SSLSocket.unwrap` will not do: it reports a fatal alert, such as that of a receiver that wanted
to know who we are, as an orderly end. Here our `close_notify` is written first, and what comes back
is read afterwards, where an alert is an error.
"""

import fcntl
import socket
import ssl
import struct
import termios
from contextlib import suppress

from core.kernel.clock import SYSTEM_CLOCK

_CHUNK_BYTES = 65_536


class Channel:
    """One TLS connection over a socket, all of whose operations end by one deadline."""

    def __init__(
        self, plain: socket.socket, *, context: ssl.SSLContext, host: str, ends: float
    ) -> None:
        """Begin with a connected socket.

        Args:
            plain: the socket, which stays the caller's to close.
            context: what checks the other side's certificate.
            host: the name it must be for.
            ends: the deadline, in seconds of the monotonic clock.
        """
        self._plain = plain
        self._ends = ends
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secured = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def open(self) -> None:
        """Shake hands. Raises: OSError, of which `ssl.SSLError` is one, and TimeoutError."""
        while True:
            try:
                self._secured.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return

    def send(self, data: bytes) -> None:
        """Send bytes. Raises: as `open`."""
        left = memoryview(data)
        while left:
            left = left[self._secured.write(left[:_CHUNK_BYTES]) :]
            self._flush()

    def close(self) -> None:
        """End the connection in order: return once the other side has done so too.

        Its `close_notify` and the end of its stream come after it has read ours, and so everything
        before that. One that went away by itself meanwhile has left bytes unread, and its system
        resets the connection for it.

        Raises:
            ssl.SSLEOFError: if it ended the connection without one.
            OSError: for alerts, resets, and at the deadline, as `open`.
        """
        if self._drain():
            raise ConnectionResetError("it ended the connection first")
        # It also tries to read the answer; nothing of that is in memory yet.
        with suppress(ssl.SSLWantReadError):
            self._secured.unwrap()
        self._flush()
        while not self._drain():
            self._fill()
        self._plain.shutdown(socket.SHUT_WR)
        while self._receive():
            pass

    def is_all_taken(self) -> bool:
        """Say whether the other side's system has acknowledged every byte, and reset nothing.

        One that closes with bytes unread resets the connection; one that is gone acknowledges
        nothing.
        """
        waiting = bytearray(4)
        with suppress(OSError):
            fault = self._plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            fcntl.ioctl(self._plain.fileno(), termios.TIOCOUTQ, waiting)
            return fault == 0 and struct.unpack("i", waiting)[0] == 0
        return False

    def _drain(self) -> bool:
        """Read what has come, which says nothing to us; return whether that was its end."""
        try:
            while self._secured.read(_CHUNK_BYTES):
                pass
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            return True
        return True

    def _fill(self) -> None:
        data = self._receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _receive(self) -> bytes:
        self._limit()
        return self._plain.recv(_CHUNK_BYTES)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._limit()
            self._plain.sendall(self._outgoing.read())

    def _limit(self) -> None:
        left = self._ends - SYSTEM_CLOCK.monotonic()
        if left <= 0:
            raise TimeoutError
        self._plain.settimeout(left)

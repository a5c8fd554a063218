"""A syslog receiver over TLS, RFC 5425, that tests can make misbehave. Read `Receiver`."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Receiver:
    """What came, whole messages only, and how the next connections end.

    `cuts` are numbers of bytes after which the next connections are cut without a word, one each.
    `leaves` are such numbers too, after which it ends the connection as one does that is being
    restarted: with a close_notify of its own, and whatever else came unread. `says_goodbye` is
    whether it answers a close_notify with its own.
    """

    port: int
    messages: list[bytes] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    says_goodbye: bool = True
    connection_count: int = 0

    def take(self, data: bytes) -> bytes:
        """Take every whole message out of what came; return the rest."""
        while b" " in data[:8]:
            length, _, rest = data.partition(b" ")
            assert length.isdigit(), f"a frame begins with a number, not {length!r}"
            size = int(length)
            if len(rest) < size:
                return data
            self.messages.append(rest[:size])
            data = rest[size:]
        return data


@contextmanager
def receive(context, *, host="127.0.0.1", port=0):
    """Receive on a free port, or the one given, until the end of the block."""
    listener = socket.create_server((host, port))
    listener.settimeout(0.02)
    receiver = Receiver(port=listener.getsockname()[1])
    stop = threading.Event()
    thread = threading.Thread(target=_serve, args=(listener, context, receiver, stop))
    thread.start()
    try:
        yield receiver
    finally:
        stop.set()
        thread.join()
        listener.close()


def _serve(listener, context, receiver, stop):
    while not stop.is_set():
        try:
            plain, _ = listener.accept()
        except TimeoutError:
            continue
        plain.settimeout(5)
        receiver.connection_count += 1
        with suppress(OSError):
            _talk(plain, context, receiver)
        plain.close()


def _talk(plain, context, receiver):
    with context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False) as secured:
        _read(secured, receiver)


def _read(secured, receiver):
    cut = receiver.cuts.pop(0) if receiver.cuts else None
    leave = receiver.leaves.pop(0) if receiver.leaves else None
    data, count = b"", 0
    try:
        while True:
            if leave is not None and count >= leave:
                secured.settimeout(0.0)
                with suppress(ssl.SSLWantReadError):
                    secured.unwrap()
                break
            until = min(item for item in (cut, leave, 65_536 + count) if item is not None)
            chunk = secured.recv(max(1, until - count))
            if not chunk:
                break
            count += len(chunk)
            data = receiver.take(data + chunk)
            if cut is not None and count >= cut:
                # Reset, as a machine does that loses its power and comes back.
                secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
        if receiver.says_goodbye and leave is None:
            secured.unwrap()
    except ssl.SSLEOFError:
        pass

"""A mail server on the loopback address that keeps what it gets. Read `serve_smtp`."""

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(kw_only=True)
class Mailbox:
    """The server's port, the messages it accepted, and what it answers to recipients."""

    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    connections: int = 0
    # Takes the recipient's address, returns a reply; 250 accepts, 421 also hangs up.
    judge: Callable[[str], str] = lambda _: "250 ok"


class _Handler(socketserver.StreamRequestHandler):
    mailbox: Mailbox

    def handle(self) -> None:
        self.mailbox.connections += 1
        self._reply("220 loopback")
        while True:
            line = self.rfile.readline().decode("ascii", "replace").strip()
            verb, _, rest = line.upper().partition(" ")
            if verb in {"", "QUIT"}:
                self._reply("221 bye")
                return
            if verb == "RCPT":
                reply = self.mailbox.judge(line[line.index("<") + 1 : line.index(">")])
                self._reply(reply)
                if reply.startswith("421"):
                    return
            elif verb == "DATA":
                self._reply("354 go on")
                self._keep()
                self._reply("250 kept")
            else:
                del rest
                self._reply("250 ok")

    def _keep(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        text = b"".join(lines).replace(b"\r\n", b"\n")  # as a mail program shows it
        message = message_from_bytes(text, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mailbox.messages.append(message)

    def _reply(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def serve_smtp():
    """Serve SMTP on a free port; yields the one `Mailbox`."""
    mailbox = Mailbox(port=0)
    handler = type("Handler", (_Handler,), {"mailbox": mailbox})
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    mailbox.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield mailbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

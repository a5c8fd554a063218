"""Prints what all processes say, each line with the name of who said it."""

import sys
import threading
from contextlib import suppress
from typing import IO

_COLORS = ("36", "32", "33", "35", "34", "96", "92", "93")
_WIDTH = 8
_LINE_CHARS_MAX = 4_000  # a longer line is cut; nobody reads it in a terminal


class Printer:
    """The one writer of this process's standard output. Any thread may use it."""

    def __init__(self, *, colored: bool, output: IO[str] | None = None) -> None:
        self._output = output or sys.stdout
        self._colored = colored
        self._lock = threading.Lock()
        self._names: list[str] = []

    def say(self, text: str, *, name: str = "make run") -> None:
        """Print each line of a text behind a name."""
        # A terminal that was closed, or a pipe nobody reads any more, is no reason to fall over.
        with self._lock, suppress(OSError):
            prefix = self._prefix(name)
            for line in text.splitlines() or [""]:
                self._output.write(f"{prefix} {line[:_LINE_CHARS_MAX]}\n")
            self._output.flush()

    def follow(self, stream: IO[bytes], *, name: str) -> threading.Thread:
        """Print a stream's lines as they come, from a thread that ends with the stream."""

        def read() -> None:
            with stream:
                for line in stream:
                    text = line.decode(errors="replace").rstrip()
                    if text:
                        self.say(text, name=name)

        thread = threading.Thread(target=read, name=f"follow-{name}", daemon=True)
        thread.start()
        return thread

    def collect(self, stream: IO[bytes], lines: list[str]) -> threading.Thread:
        """Keep a stream's lines instead of printing them, until the stream ends."""

        def read() -> None:
            with stream:
                lines.extend(line.decode(errors="replace").rstrip() for line in stream)

        thread = threading.Thread(target=read, name="collect", daemon=True)
        thread.start()
        return thread

    def _prefix(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        label = f"{name:<{_WIDTH}} |"
        if not self._colored:
            return label
        color = _COLORS[self._names.index(name) % len(_COLORS)]
        return f"\033[{color}m{label}\033[0m"

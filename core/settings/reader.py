"""Reads variables one by one and remembers everything that is wrong with them."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from core.settings import outward

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_ORIGIN = re.compile(r"(https?)://[A-Za-z0-9.\-\[\]:]+")

_Choice = TypeVar("_Choice", bound=StrEnum)


class Reader:
    """One pass over the environment.

    A method that meets a bad value adds a sentence to `problems` and returns the default, so that
    the caller can go on and find the rest.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []

    def fail(self, name: str, reason: str) -> None:
        """Remember that a variable does not hold; `reason` completes the sentence."""
        self.problems.append(f"{name} {reason}.")

    def text(self, name: str, *, default: str, required: bool = False) -> str:
        """Return the text without surrounding space; an empty variable is an unset one."""
        value = self._values.get(name, "").strip()
        if not value and required:
            self.fail(name, "is not set")
        return value or default

    def outward(self, name: str, *, kinds: outward.Kinds) -> list[outward.Item]:
        """Return where the ledger goes, a JSON list; secrets come from variables it names."""
        try:
            return outward.read_list(
                self.text(name, default="[]"),
                kinds=kinds,
                secret_of=lambda variable: self._values.get(variable, "").strip(),
            )
        except ValueError as error:
            self.fail(name, str(error))
            return []

    def items(self, name: str) -> tuple[str, ...]:
        """Return the parts of a comma-separated list, in order, without empty ones."""
        parts = (item.strip() for item in self.text(name, default="").split(","))
        return tuple(item for item in parts if item)

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number in a closed range."""
        text = self.text(name, default=str(default))
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            self.fail(name, f"is {text!r}, not a whole number from {least} to {most}")
            return default
        return int(text)

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return a yes or a no, in any of the usual spellings."""
        text = self.text(name, default=str(default)).lower()
        if text not in _TRUE | _FALSE:
            self.fail(name, f"is {text!r}, neither yes nor no")
        return text in _TRUE

    def choice(self, name: str, kind: type[_Choice], *, default: _Choice) -> _Choice:
        """Return a member of a closed set."""
        text = self.text(name, default=default.value)
        try:
            return kind(text)
        except ValueError:
            choices = ", ".join(member.value for member in kind)
            self.fail(name, f"is {text!r}, not one of {choices}")
            return default

    def origin(self, name: str, *, default: str, secure: bool) -> str:
        """Return a web origin (scheme, host, port) without a trailing slash.

        Without a default it is required.

        Args:
            name: the variable.
            default: used when it is unset.
            secure: whether plain http is refused.
        """
        text = self.text(name, default=default, required=not default)
        return self.check_origin(name, text, secure=secure) if text else ""

    def check_origin(self, name: str, text: str, *, secure: bool) -> str:
        """Return one origin of a variable, checked like `origin`."""
        text = text.rstrip("/")
        match = _ORIGIN.fullmatch(text)
        if match is None or not urlsplit(text).hostname:
            self.fail(name, f"is {text!r}, not an address such as https://countersign.example.org")
        elif secure and match[1] != "https":
            self.fail(name, f"is {text!r}; people sign in there, so it must be https")
        return text

    def database_url(self, name: str) -> str | None:
        """Return a PostgreSQL connection address, or `None` if unset. Never shows its password."""
        url = self.text(name, default="")
        if not url:
            return None
        if not url.startswith(("postgresql://", "postgres://")):
            self.fail(name, "is no postgresql:// address; PostgreSQL is the only database")
            return None
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            self.fail(name, "cannot be read; percent-encode special characters in it")
            return None
        if not parts.get("dbname"):
            self.fail(name, "names no database after the host")
        return url

    def redis_url(self, name: str) -> str | None:
        """Return a Redis address, or `None` if unset. Never shows its password."""
        url = self.text(name, default="")
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in _REDIS_SCHEMES or "://" not in url:
            self.fail(name, "is no redis://, rediss:// or unix:// address")
            return None
        if not (parts.path.strip("/") if parts.scheme == "unix" else parts.hostname):
            self.fail(name, "names neither a host nor a socket")
            return None
        return url

"""Addresses that change one thing of the page they stand on. Read `Query` first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The query of an address: names and values, in order."""

    values: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return a value, "" if it is not there."""
        return self.values.get(name, "")

    def change(self, **changes: object) -> str:
        """Return a link to the same page with some values set, or with "" and `None` left out."""
        merged = {**self.values, **{name: "" if v is None else v for name, v in changes.items()}}
        kept = {name: value for name, value in merged.items() if value not in ("", None)}
        return f"?{urlencode(kept)}" if kept else "?"

"""Definitions on disk. Read `read_definitions`, then `in_order`."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from countersign.cli.errors import CommandError

SCHEMA = "flow/v1"
_SUFFIXES = frozenset({".yaml", ".yml"})
TEST_SUFFIXES = (".test.yaml", ".test.yml")
_BYTES_MAX = 1024 * 1024  # the server accepts less, and says so with a place


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition's file. `name` is "" where the text cannot be read; the server says why.

    `calls` are the names of workflows of the same project that it runs.
    """

    path: str
    source: str
    name: str = ""
    calls: frozenset[str] = frozenset()

    @property
    def source_digest(self) -> str:
        """Return the SHA-256 of the text in hex, as versions have it."""
        return hashlib.sha256(self.source.encode()).hexdigest()


def read_definitions(places: Sequence[str]) -> list[Definition]:
    """Return the definitions in files and folders, by path.

    In a folder those are the YAML files, at any depth, whose `schema` is flow/v1, and those that
    cannot be read, so that a typing error is no way to be left out. Hidden files and `*.test.yaml`
    are not looked at. A file that is named counts whatever is in it.

    Raises:
        CommandError: a file cannot be read, or a folder holds no definition.
    """
    found: dict[str, Definition] = {}
    for place in places:
        root = Path(place)
        if not root.is_dir():
            found[place] = _read(root)
            continue
        inside = [_read(path) for path in _walk(root)]
        chosen = [item for item in inside if item.name or not _is_something_else(item)]
        if not chosen:
            raise CommandError(f"{place} holds no {SCHEMA} definition", code="cli.no_definitions")
        found.update((item.path, item) for item in chosen)
    return [found[path] for path in sorted(found)]


def check_names(definitions: Sequence[Definition]) -> None:
    """Refuse two files that define the same workflow. Raises: CommandError."""
    seen: dict[str, str] = {}
    for item in definitions:
        if item.name and item.name in seen:
            message = f"{item.path} and {seen[item.name]} both define {item.name!r}"
            raise CommandError(message, code="cli.name_twice")
        seen[item.name] = item.path


def in_order(definitions: Sequence[Definition]) -> list[Definition]:
    """Return definitions with those that others call first; a circle is cut where it is met."""
    by_name = {item.name: item for item in definitions}
    done: dict[str, Definition] = {}
    entered: set[str] = set()

    def visit(item: Definition) -> None:
        if item.path in entered:
            return
        entered.add(item.path)
        for name in sorted(item.calls):
            if name in by_name:
                visit(by_name[name])
        done[item.path] = item

    for item in definitions:
        visit(item)
    return list(done.values())


def read_text(path: Path) -> str:
    """Return a file as text. Raises: CommandError."""
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise CommandError(f"{path} has over {_BYTES_MAX} bytes", code="cli.file")
        # As it stands: a line's end is part of the text whose digest the server keeps.
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text", code="cli.file") from error
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}", code="cli.file") from error


def _walk(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if any(part.startswith(".") for part in parts) or path.name.endswith(TEST_SUFFIXES):
            continue
        if path.suffix in _SUFFIXES and path.is_file():
            yield path


def _read(path: Path) -> Definition:
    source = read_text(path)
    value = _load(source)
    if not isinstance(value, dict):
        return Definition(path=str(path), source=source)
    name = value.get("name")
    is_one = value.get("schema") == SCHEMA and isinstance(name, str)
    return Definition(
        path=str(path),
        source=source,
        name=str(name) if is_one else "",
        calls=frozenset(_list_calls(value)) if is_one else frozenset(),
    )


def _load(source: str) -> Any:
    """Return a text's value, `None` if it is not YAML: what is wrong with it the server says."""
    try:
        return yaml.safe_load(source)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _is_something_else(item: Definition) -> bool:
    """Say whether a file is certainly no definition of ours: YAML, but of another schema."""
    value = _load(item.source)
    is_map = isinstance(value, dict)
    return (
        (is_map and "schema" not in value)
        or (value is not None and not is_map)
        or (is_map and not str(value.get("schema")).startswith("flow/"))
    )


def _list_calls(value: Any) -> Iterator[str]:
    """Yield the names after `call:` that name no project; looks at each part once."""
    pending, seen = [value], set[int]()
    while pending:
        item = pending.pop()
        if id(item) in seen:  # an alias; the server refuses it
            continue
        if isinstance(item, Mapping):
            seen.add(id(item))
            called = item.get("call")
            if isinstance(called, str) and "/" not in called:
                yield called.partition("@")[0]
            pending += item.values()
        elif isinstance(item, list):
            seen.add(id(item))
            pending += item

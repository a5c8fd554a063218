"""Which server, whose token, which project. Read `Profile`, then `find_profile`.

    default = "staging"

    [profiles.staging]
    url = "https://countersign.example.org"
    token = "…"
    project = "shop"

Options come before environment variables, and those before the file. The file holds tokens, so it
is written for its owner alone, and a token is never printed.
"""

import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from countersign.cli.errors import CommandError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYS = ("url", "token", "project")
_OWNER_ONLY = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where a command goes and for whom it speaks; what is not known is empty."""

    name: str
    url: str = ""
    token: str = field(default="", repr=False)
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration file: profiles by name, and which is used when none is named."""

    default: str = ""
    profiles: Mapping[str, Profile] = field(default_factory=dict)


def settings_path() -> Path:
    """Return where the file is: in `$XDG_CONFIG_HOME`, by default `~/.config`."""
    return Path(click.get_app_dir("countersign")) / "config.toml"


def find_profile(*, name: str | None, url: str | None, project: str | None) -> Profile:
    """Return the profile to use, with what options and the environment say instead.

    Raises:
        CommandError: the file cannot be read, or there is no profile of that name.
    """
    settings = read_settings()
    chosen = name or os.environ.get("COUNTERSIGN_PROFILE") or settings.default
    known = settings.profiles.get(chosen) if chosen else None
    if chosen and known is None and (name or os.environ.get("COUNTERSIGN_PROFILE")):
        names = ", ".join(sorted(settings.profiles)) or "none"
        message = f"there is no profile {chosen!r}; those there are: {names}"
        raise CommandError(message, code="cli.no_profile")
    profile = known or Profile(name="")
    address = url or os.environ.get("COUNTERSIGN_URL") or profile.url
    token = os.environ.get("COUNTERSIGN_TOKEN") or ""
    if not token and _same_server(address, profile.url):
        token = profile.token  # one server's token is never sent to another
    return Profile(
        name=profile.name,
        url=address.rstrip("/"),
        token=token,
        project=project or os.environ.get("COUNTERSIGN_PROJECT") or profile.project,
    )


def read_settings() -> Settings:
    """Return what the file says; a file that is not there says nothing.

    Raises:
        CommandError: it is not TOML of the form above.
    """
    path = settings_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text", code="cli.bad_config") from error
    try:
        return _read(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise CommandError(f"{path}: {error}", code="cli.bad_config") from error


def is_open_to_others() -> bool:
    """Say whether others on this machine may read the file."""
    with suppress(OSError):
        return bool(settings_path().stat().st_mode & _OTHERS)
    return False


def save_profile(profile: Profile, *, make_default: bool) -> Path:
    """Write a profile into the file, for its owner alone, and return the file's path."""
    known = read_settings()
    profiles = {**known.profiles, profile.name: profile}
    default = profile.name if make_default or not known.default else known.default
    return _write(Settings(default=default, profiles=profiles))


def forget_profile(name: str) -> bool:
    """Take a profile out of the file; say whether it was there."""
    known = read_settings()
    if name not in known.profiles:
        return False
    rest = {key: item for key, item in known.profiles.items() if key != name}
    default = known.default if known.default in rest else next(iter(rest), "")
    _write(Settings(default=default, profiles=rest))
    return True


def _same_server(address: str, known: str) -> bool:
    return bool(known) and address.rstrip("/") == known.rstrip("/")


def _read(document: Mapping[str, Any]) -> Settings:
    """Read the file's content. Raises: ValueError."""
    default, tables = document.get("default", ""), document.get("profiles", {})
    if not isinstance(default, str) or not isinstance(tables, dict):
        message = "`default` is a name, and `profiles` are tables"
        raise ValueError(message)  # noqa: TRY004 - one kind of error for one kind of fault
    profiles = {}
    for name, table in tables.items():
        values = table if isinstance(table, dict) else {}
        fields = {key: values.get(key, "") for key in _KEYS}
        if not values or not all(isinstance(value, str) for value in fields.values()):
            message = f"`profiles.{name}` needs `url`, `token` and `project` as texts"
            raise ValueError(message)
        profiles[name] = Profile(name=name, **fields)
    return Settings(default=default, profiles=profiles)


def _write(settings: Settings) -> Path:
    path = settings_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [f"default = {_text(settings.default)}"]
    for name, profile in settings.profiles.items():
        lines += ["", f"[profiles.{_text(name)}]"]
        lines += [f"{key} = {_text(getattr(profile, key))}" for key in _KEYS]
    # A new file put in its place: never half written, and never open to others for a moment.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(temporary).chmod(_OWNER_ONLY)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _text(value: str) -> str:
    """Write a text as TOML; a basic string there is one of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

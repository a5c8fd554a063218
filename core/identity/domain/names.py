"""What names may look like. The database checks the same patterns."""

import re
from typing import Final

from core.kernel import limits

# Account and team names appear in definitions, so they are what people can type and YAML keeps.
USERNAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
SLUG_PATTERN: Final = r"^[a-z0-9](-?[a-z0-9]){0,63}$"
# A role's slug is part of audience keys and channel names: no `.` and no `-`.
ROLE_SLUG_PATTERN: Final = r"^[a-z][a-z0-9_]{0,39}$"

_USERNAME = re.compile(USERNAME_PATTERN)
_SLUG = re.compile(SLUG_PATTERN)
# Deliberately loose: only delivery proves an address. It keeps header injection out.
_EMAIL = re.compile(r"[^\s@<>\"',;:\\]{1,64}@[^\s@<>\"',;:\\]{1,189}")


def is_username(text: str) -> bool:
    """Return whether an account or a team may have this name."""
    return _USERNAME.fullmatch(text) is not None


def is_slug(text: str) -> bool:
    """Return whether a project may have this slug, at most 64 characters."""
    return len(text) <= limits.SLUG_CHARS_MAX and _SLUG.fullmatch(text) is not None


def is_title(text: str) -> bool:
    """Return whether a person, project or token may be called so: one line, not blank."""
    return bool(text.strip()) and len(text) <= limits.TITLE_CHARS_MAX and text.isprintable()


def is_email(text: str) -> bool:
    """Return whether the text can be an email address, at most 254 characters."""
    return _EMAIL.fullmatch(text) is not None

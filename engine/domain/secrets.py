"""Where named secrets stand in an action's arguments. Read `with_places` and `fill_places`.

A secret is written as `${{ secrets.NAME }}` and its value never enters a run. While arguments are
rendered, a text that names one becomes the list of its parts, in which `{"secret": NAME}` stands
for the value; that is what a run's state, its digests and its queues hold. Only a worker puts the
values in, and it finds the places by walking the plan's own template beside the rendered arguments:
data that looks like such a list stands where the template has no secret, and stays data.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from core.kernel import limits
from core.kernel.canonical import canonical_bytes
from core.kernel.types import Json
from engine.domain.flow.templates import Hole, Part, list_texts, split_template

SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_EXPRESSION = re.compile(r"secrets\s*\.\s*([A-Z][A-Z0-9_]*)")
_NAMESPACE = re.compile(r"\bsecrets\b")
_PLACE = "secret"


class MisfitError(ValueError):
    """Rendered arguments do not have the shape of their template."""


def secret_in(expression: str) -> str | None:
    """Return the name of the secret an expression is, `None` if it is anything else."""
    match = _EXPRESSION.fullmatch(expression.strip())
    return match.group(1) if match else None


def list_secrets(template: Json) -> Iterator[str]:
    """Yield the name of every secret a template holds, as often as it does."""
    for text in list_texts(template):
        if _NAMESPACE.search(text) is not None:
            for part in _parts(text):
                name = _name_of(part)
                if name is not None:
                    yield name


def has_secrets(template: Json) -> bool:
    """Say whether a template holds any secret."""
    return next(list_secrets(template), None) is not None


def with_places(template: Json) -> Json:
    """Return a template in which texts that name secrets are the lists of their parts.

    Rendering it gives what `fill_places` takes.
    """
    if isinstance(template, str):
        parts = _secret_parts(template)
        return template if parts is None else [_as_template(part) for part in parts]
    if isinstance(template, Mapping):
        return {key: with_places(item) for key, item in template.items()}
    if isinstance(template, list):
        return [with_places(item) for item in template]
    return template


def may_have_places(rendered: Json) -> bool:
    """Say whether rendered arguments hold anything that a secret's place looks like."""
    if isinstance(rendered, dict):
        return set(rendered) == {_PLACE} or any(may_have_places(i) for i in rendered.values())
    return isinstance(rendered, list) and any(may_have_places(item) for item in rendered)


def fill_places(template: Json, rendered: Json, values: Mapping[str, str]) -> Json:
    """Return rendered arguments with the secrets in their places.

    Args:
        template: the plan's, as written; it alone says where secrets are.
        rendered: what rendering `with_places` of it gave.
        values: of each secret the template names.

    Raises:
        MisfitError: the two do not fit, or what comes out is over `limits.ARGUMENT_BYTES_MAX`.
        KeyError: a value is missing.
    """
    return _fill(template, rendered, values, _Room())


class _Room:
    """How many characters values may still add."""

    def __init__(self) -> None:
        self._left = limits.ARGUMENT_BYTES_MAX

    def take(self, text: str) -> None:
        """Count a text. Raises: MisfitError."""
        self._left -= len(text)
        if self._left < 0:
            reason = f"with secrets they come to over {limits.ARGUMENT_BYTES_MAX} bytes"
            raise MisfitError(reason)


def _fill(template: Json, rendered: Json, values: Mapping[str, str], room: _Room) -> Json:
    if isinstance(template, str):
        parts = _secret_parts(template)
        return rendered if parts is None else _join(parts, rendered, values, room)
    if isinstance(template, Mapping):
        if not isinstance(rendered, dict) or rendered.keys() != template.keys():
            raise MisfitError("a map has other keys")
        return {key: _fill(item, rendered[key], values, room) for key, item in template.items()}
    if isinstance(template, list):
        if not isinstance(rendered, list) or len(rendered) != len(template):
            raise MisfitError("a list has another length")
        pairs = zip(template, rendered, strict=True)
        return [_fill(item, found, values, room) for item, found in pairs]
    return rendered


def _join(parts: tuple[Part, ...], rendered: Json, values: Mapping[str, str], room: _Room) -> str:
    """Return the text of parts, each as the evaluator writes it inside a longer text."""
    if not isinstance(rendered, list) or len(rendered) != len(parts):
        raise MisfitError("a text with secrets has other parts")
    texts: list[str] = []
    for part, found in zip(parts, rendered, strict=True):
        name = _name_of(part)
        if name is not None:
            texts.append(values[name])
        else:
            texts.append(found if isinstance(found, str) else canonical_bytes(found).decode())
        room.take(texts[-1])
    return "".join(texts)


def _as_template(part: Part) -> Json:
    """Return a part as a template of its own."""
    name = _name_of(part)
    if name is not None:
        return {_PLACE: name}
    if isinstance(part, str):
        return part.replace("${{", "$${{")
    return f"${{{{ {part.expression} }}}}"


def _name_of(part: Part) -> str | None:
    return secret_in(part.expression) if isinstance(part, Hole) else None


def _secret_parts(text: str) -> tuple[Part, ...] | None:
    """Return the parts of a text that names a secret, `None` for any other."""
    if "${{" not in text or _NAMESPACE.search(text) is None:
        return None
    parts = _parts(text)
    return parts if any(_name_of(part) is not None for part in parts) else None


@lru_cache(maxsize=limits.EXPRESSION_CACHE_COUNT_MAX)
def _parts(text: str) -> tuple[Part, ...]:
    return split_template(text)

"""Texts with `${{ … }}` inside. Read `split_template` first.

`$${{` writes a literal `${{`. The end of an expression is the first `}}` outside its string
literals, comments and braces, so `${{ {"a": {"b": "}}"}} }}` is one expression.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from core.kernel.types import Json
from engine.domain.flow.tokens import TokenError, read_tokens

_OPENING = re.compile(r"\$?\$\{\{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """An expression inside a text; `start` is the character index of its `${{`."""

    expression: str
    start: int


Part: TypeAlias = str | Hole


class TemplateError(ValueError):
    """A `${{` has no matching `}}`, or nothing but blanks inside. `text` begins at its `${{`."""

    def __init__(self, *, text: str, reason: str) -> None:
        super().__init__(reason)
        self.text = text
        self.reason = reason


def split_template(text: str) -> tuple[Part, ...]:
    """Return the literal and the evaluated parts of a text, in order, without empty literals.

    Raises:
        TemplateError: when an expression is empty or not closed.
    """
    parts: list[Part] = []
    literal, position = "", 0
    while (match := _OPENING.search(text, position)) is not None:
        literal += text[position : match.start()]
        if match.group().startswith("$$"):
            literal += "${{"
            position = match.end()
            continue
        if literal:
            parts.append(literal)
            literal = ""
        end = _find_end(text, start=match.end())
        expression = text[match.end() : end].strip()
        if not expression:
            raise TemplateError(text=text[match.start() :], reason="the expression is empty")
        parts.append(Hole(expression=expression, start=match.start()))
        position = end + 2
    literal += text[position:]
    if literal:
        parts.append(literal)
    return tuple(parts)


def list_holes(template: Json) -> Iterator[Hole]:
    """Yield the expressions of every text inside a JSON value, map values in their order.

    Raises:
        TemplateError: while iterating.
    """
    for text in list_texts(template):
        for part in split_template(text):
            if isinstance(part, Hole):
                yield part


def list_texts(template: Json) -> Iterator[str]:
    """Yield every text inside a JSON value that may hold an expression; keys are never one."""
    if isinstance(template, str):
        if "${{" in template:
            yield template
    elif isinstance(template, list):
        for item in template:
            yield from list_texts(item)
    elif isinstance(template, dict):
        for item in template.values():
            yield from list_texts(item)


def _find_end(text: str, *, start: int) -> int:
    """Return the index of the `}}` that ends the expression starting at an index."""
    depth = 0
    opened = text[max(0, start - 3) :]
    try:
        for token in read_tokens(text, start=start):
            if token.is_symbol("{"):
                depth += 1
            elif token.is_symbol("}") and depth > 0:
                depth -= 1
            elif token.is_symbol("}"):
                if text[token.end : token.end + 1] == "}":
                    return token.start
                raise TemplateError(text=opened, reason="a `}` has no matching `{`")
    except TokenError as error:
        raise TemplateError(text=opened, reason=error.reason) from error
    raise TemplateError(text=opened, reason="`${{` is not closed by `}}`")

"""The words of a CEL expression, without their meaning. Read `read_tokens` first.

Compiling is the library's business. What is needed here is to know where an expression inside a
text ends and which names it mentions, without being fooled by string literals and comments.
Source: the CEL language definition, "Syntax".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

# Alternatives are tried in order: a triple quote before a quote, a string before a name.
_TOKEN = re.compile(
    r"""
      (?P<blank>  [\ \t\n\r\f]+ | //[^\n]* )
    | (?P<string> [bB]?[rR](?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n\r]*" | '[^'\n\r]*' )
                | [bB]?(?: \"{3}(?:[^\\]|\\.)*?\"{3} | '{3}(?:[^\\]|\\.)*?'{3}
                         | "(?:[^"\\\n\r]|\\.)*" | '(?:[^'\\\n\r]|\\.)*' ) )
    | (?P<quoted> `[^`\n\r]+` )
    | (?P<number> 0[xX][0-9a-fA-F]+[uU]?
                | (?:[0-9]+(?:\.[0-9]+)? | \.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]? )
    | (?P<name>   [A-Za-z_][A-Za-z0-9_]* )
    | (?P<symbol> && | \|\| | [=!<>]= | [-+*/%<>!?:.,()\[\]{}] )
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_STRING = re.compile(r"""([rR]?)(?:"([^"\\]*)"|'([^'\\]*)')""")


class TokenKind(StrEnum):
    """What a token is."""

    NAME = "name"
    QUOTED = "quoted"  # a field between back quotes
    NUMBER = "number"
    STRING = "string"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word of an expression; `start` and `end` are character indexes, half-open."""

    kind: TokenKind
    text: str
    start: int
    end: int

    def is_symbol(self, text: str) -> bool:
        """Say whether this is the given operator or bracket."""
        return self.kind is TokenKind.SYMBOL and self.text == text

    @property
    def field(self) -> str | None:
        """Return the name this token gives as a field: `a` of `.a` and of `` .`a` ``."""
        if self.kind is TokenKind.NAME:
            return self.text
        return self.text[1:-1] if self.kind is TokenKind.QUOTED else None

    @property
    def key(self) -> str | int | None:
        """Return the value of a literal used as an index, or `None` if it is not a plain one."""
        if self.kind is TokenKind.NUMBER and self.text.isdecimal():
            return int(self.text) if len(self.text) < 10 else None  # noqa: PLR2004 - no list is longer
        match = _PLAIN_STRING.fullmatch(self.text) if self.kind is TokenKind.STRING else None
        return None if match is None else match.group(2) or match.group(3) or ""


class TokenError(ValueError):
    """The text has a character no expression can have there, at the character index `at`."""

    def __init__(self, *, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


def read_tokens(text: str, *, start: int = 0) -> Iterator[Token]:
    """Yield the tokens from an index on, lazily, so that a caller may stop at its end mark.

    Raises:
        TokenError: while iterating, at the first character that starts no token.
    """
    position = start
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            character = text[position]
            reason = (
                "a quoted text is not closed"
                if character in "\"'`"
                else f"the character {character!r} has no meaning here"
            )
            raise TokenError(at=position, reason=reason)
        position = match.end()
        if match.lastgroup != "blank":
            assert match.lastgroup is not None, "every alternative has a name"
            yield Token(
                kind=TokenKind(match.lastgroup),
                text=match.group(),
                start=match.start(),
                end=match.end(),
            )

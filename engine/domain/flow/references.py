"""Which values an expression mentions. Read `read_references` first."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.flow.tokens import Token, TokenKind, read_tokens

_LITERALS = frozenset({"true", "false", "null", "in"})
_LIST_MACROS = frozenset({"map", "filter"})
_CLOSING = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A mention of a top-level name and the fields selected from it, as far as they are written.

    `steps.scan.outputs[inputs.name]` is `steps`, `("scan", "outputs")`. `fields` are keys of maps
    and indexes of lists; `start` is the character index of the name.
    """

    name: str
    fields: tuple[str | int, ...] = ()
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What an expression mentions, in the order of writing.

    `is_path`: the expression is one reference and nothing else, so it can be looked up.
    """

    found: tuple[Reference, ...] = ()
    is_path: bool = False

    def steps(self) -> frozenset[str]:
        """Return the ids mentioned as `steps.<id>` or `steps["<id>"]`."""
        return frozenset(
            item.fields[0]
            for item in self.found
            if item.name == "steps" and item.fields and isinstance(item.fields[0], str)
        )


def read_references(expression: str) -> References:
    """Return the references of an expression. Names bound by a macro are among them.

    Raises:
        TokenError: when the text is no sequence of tokens.
    """
    tokens = tuple(read_tokens(expression))
    found: list[Reference] = []
    end = 0
    for index, token in enumerate(tokens):
        if _is_reference(tokens, index):
            fields, end = _read_fields(tokens, index + 1)
            found.append(Reference(name=token.text, fields=fields, start=token.start))
    is_path = len(found) == 1 and tokens[0].start == found[0].start and end == len(tokens)
    return References(found=tuple(found), is_path=is_path)


def list_only(expression: str) -> str:
    """Return an expression in which `map()` and `filter()` accept lists and nothing else.

    Over a map they would yield the keys in an order that differs from process to process, and with
    it digests and replays. `x.map(…)` becomes `(x + []).map(…)`, which has no meaning for a map.

    Raises:
        TokenError: when the text is no sequence of tokens.
    """
    tokens = tuple(read_tokens(expression))
    pieces: dict[int, str] = {}
    for index in range(1, len(tokens) - 1):
        if not _is_list_macro(tokens, index):
            continue
        start = _receiver_start(tokens, index - 2)
        if start is not None:
            before, dot = tokens[start].start, tokens[index - 1].start
            pieces[before] = "(" + pieces.get(before, "")
            pieces[dot] = " + [])" + pieces.get(dot, "")
    return _insert(expression, pieces)


def _insert(text: str, pieces: dict[int, str]) -> str:
    parts, position = [], 0
    for at in sorted(pieces):
        parts += [text[position:at], pieces[at]]
        position = at
    return "".join((*parts, text[position:]))


def _is_list_macro(tokens: Sequence[Token], index: int) -> bool:
    return (
        tokens[index].kind is TokenKind.NAME
        and tokens[index].text in _LIST_MACROS
        and tokens[index - 1].is_symbol(".")
        and tokens[index + 1].is_symbol("(")
    )


def _is_reference(tokens: Sequence[Token], index: int) -> bool:
    """Say whether a token is a top-level name: no literal, no field, no function."""
    token = tokens[index]
    if token.kind is not TokenKind.NAME or token.text in _LITERALS:
        return False
    if index + 1 < len(tokens) and tokens[index + 1].is_symbol("("):
        return False
    if index == 0 or not tokens[index - 1].is_symbol("."):
        return True
    # `.name` at the start of an operand is a top-level name too.
    return index == 1 or not _ends_operand(tokens[index - 2])


def _ends_operand(token: Token) -> bool:
    if token.kind is TokenKind.SYMBOL:
        return token.text in _CLOSING
    return not (token.kind is TokenKind.NAME and token.text == "in")


def _read_fields(tokens: Sequence[Token], index: int) -> tuple[tuple[str | int, ...], int]:
    """Return the fields selected from a name, and the index of the first token after them."""
    fields: list[str | int] = []
    while index + 1 < len(tokens):
        if tokens[index].is_symbol("."):
            field = tokens[index + 1].field
            is_call = index + 2 < len(tokens) and tokens[index + 2].is_symbol("(")
            if field is None or is_call:
                break
            fields.append(field)
            index += 2
        elif tokens[index].is_symbol("["):
            key = tokens[index + 1].key
            if key is None or not (index + 2 < len(tokens) and tokens[index + 2].is_symbol("]")):
                break
            fields.append(key)
            index += 3
        else:
            break
    return tuple(fields), index


def _receiver_start(tokens: Sequence[Token], index: int) -> int | None:
    """Return the index of the first token of the operand that ends at an index.

    `None` when there is none, or when it is a list for certain: a list literal, a macro's result.
    """
    part = _part_start(tokens, index)
    if part is not None and tokens[index].is_symbol(")") and _is_list_macro(tokens, part):
        return None
    while part is not None and part > 0 and tokens[part - 1].is_symbol("."):
        if part == 1 or not _ends_operand(tokens[part - 2]):
            return part - 1
        part = _part_start(tokens, part - 2)
    return None if part is None or tokens[part].is_symbol("[") else part


def _part_start(tokens: Sequence[Token], index: int) -> int | None:
    """Return the index where one part of an operand starts: `a`, `f(x)`, `(x)`, `a[0]`, `{…}`."""
    while tokens[index].kind is TokenKind.SYMBOL:
        opening = _opening_of(tokens, index)
        if opening is None or opening == 0:
            return opening
        is_index = tokens[index].is_symbol("]") and _ends_operand(tokens[opening - 1])
        if not is_index:
            return opening - 1 if _is_callee(tokens, opening) else opening
        index = opening - 1
    return index


def _is_callee(tokens: Sequence[Token], opening: int) -> bool:
    """Say whether the token before a bracket is the name of a function or of a message."""
    before = tokens[opening - 1]
    is_name = before.kind is TokenKind.NAME and before.text not in _LITERALS
    return is_name and not tokens[opening].is_symbol("[")


def _opening_of(tokens: Sequence[Token], index: int) -> int | None:
    """Return the index of the bracket that a closing one matches, if there is one."""
    depth = 0
    for position in range(index, -1, -1):
        token = tokens[position]
        if token.kind is TokenKind.SYMBOL:
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
            if depth == 0:
                return position if position < index else None
    return None

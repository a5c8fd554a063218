"""What a syntax error of the YAML scanner means to an author. Read `describe_syntax_error`."""

from dataclasses import dataclass

import yaml

from engine.domain.flow.positions import Position, position_after

_TAB = "A tab cannot indent a line; use spaces."
_COLON = (
    "A `:` cannot stand here. Indent the line like its neighbors, or put the text that holds the "
    "colon between quotes."
)
_ITEM = "A list item (`-`) cannot stand here; start it on a line of its own."
_KEY = "A key is expected here, indented like those of the map that starts in line {line}."
_NO_ITEM = "A list item (`-`) is expected here, because the list starts in line {line}."
_IN_LIST = "A `,` or `]` is expected here, because `[` is in line {line}."
_IN_MAP = "A `,` or `}}` is expected here, because `{{` is in line {line}."
_NO_COLON = "This line has no `:` after its key, or it is a text that is not indented enough."
_QUOTE = "The quoted text that starts here is not closed."
_ESCAPE = "There is no such escape; between double quotes a backslash is written `\\\\`."
_NO_CHARACTER = (
    "The escape is no character; write `\\U0001F600` instead of a pair of `\\u` escapes."
)
_AFTER = "Nothing may follow the end of the definition."

# A part of the scanner's words → where the mistake is (at the character it `noticed`, or where what
# it was reading had `opened`), and what to say. `{line}` is the line of the latter.
_SENTENCES = {
    "mapping values are not allowed": ("noticed", _COLON),
    "block sequence entries are not allowed": ("noticed", _ITEM),
    "did not find expected key": ("noticed", _KEY),
    "did not find expected '-' indicator": ("noticed", _NO_ITEM),
    "did not find expected ',' or ']'": ("noticed", _IN_LIST),
    "did not find expected ',' or '}'": ("noticed", _IN_MAP),
    "did not find expected node content": ("noticed", "A value is expected here."),
    "could not find expected ':'": ("opened", _NO_COLON),
    "found unexpected end of stream": ("opened", _QUOTE),
    "found unknown escape character": ("noticed", _ESCAPE),
    "found invalid Unicode character escape code": ("noticed", _NO_CHARACTER),
    "did not find expected <document start>": ("noticed", _AFTER),
}
_UNCLOSED = {
    "did not find expected ',' or ']'": "The `[` is not closed.",
    "did not find expected ',' or '}'": "The `{` is not closed.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """Where the scanner stopped and where what it was reading had begun."""

    noticed: Position
    opened: Position
    is_at_end: bool
    character: str


def describe_syntax_error(error: yaml.MarkedYAMLError, *, text: str) -> tuple[Position, str]:
    """Return where the mistake is and a sentence about it.

    Where the scanner noticed is not always where the mistake is: for a bracket or a quote that is
    never closed the position is that of its opening.
    """
    site = _site(error, text=text)
    words = error.problem or ""
    if words in _UNCLOSED and site.is_at_end:
        return site.opened, _UNCLOSED[words]
    if words == "found character that cannot start any token":
        return site.noticed, _describe_character(site.character)
    if "tab character" in words:
        return site.noticed, _TAB
    for known, (where, sentence) in _SENTENCES.items():
        if known in words:
            position = site.opened if where == "opened" else site.noticed
            return position, sentence.format(line=site.opened[0])
    return site.noticed, f"This is not YAML: {words}."


def _describe_character(character: str) -> str:
    if character == "\t":
        return _TAB
    return f"No value starts with `{character}`; put the text between quotes."


def _site(error: yaml.MarkedYAMLError, *, text: str) -> _Site:
    end = position_after(text.rstrip())
    mark = error.problem_mark
    assert mark is not None, "libyaml says where"
    noticed = (mark.line + 1, mark.column + 1)
    context = error.context_mark
    opened = (context.line + 1, context.column + 1) if context else noticed
    return _Site(
        noticed=min(noticed, end),
        opened=min(opened, end),
        is_at_end=noticed >= end,
        character=text[mark.index : mark.index + 1],
    )

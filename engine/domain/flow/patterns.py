r"""How large a pattern is with its repetitions written out. Read `size_of_pattern`.

RE2 matches in linear time, but it reads a pattern in time that grows with what it stands for:
`\pL{99}` is seven characters and keeps it busy for 130 ms. So a pattern is measured here, and what
is given to RE2 to see if it is one at all is a small likeness of it.
"""

import re

_CLASS_SIZE = 250  # a class of Unicode characters, such as `\\pL`: hundreds of ranges
_REPEAT_MAX = 1_000  # RE2 refuses to repeat anything more often
_SET_SIZE = 10  # a set in brackets, or any character
_TOKEN = re.compile(
    r"(?P<wide>\\[pP](?:\{[^}]*\}|.)?)|(?P<escape>\\.?)|(?P<set>\[)|(?P<open>\()|(?P<close>\))"
    r"|(?P<repeat>\{(?P<low>\d{1,6})(?P<comma>,(?P<high>\d{1,6})?)?\})|(?P<any>\.)|(?P<other>.)",
    re.DOTALL,
)


def size_of_pattern(pattern: str) -> int:
    """Return about how many steps RE2 makes of a pattern; one for a plain character.

    Takes time in proportion to the pattern, whatever it holds. Of a pattern RE2 would refuse it
    returns some size.
    """
    sizes, last = [0], [0]  # of the groups that are open: all in it, and its newest part
    inside = False  # brackets, where classes count and repetitions are characters
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        size = _CLASS_SIZE if token["wide"] else 1
        if inside:
            inside = token.group() != "]"
            size = size if token["wide"] else 0
            sizes[-1], last[-1] = sizes[-1] + size, last[-1] + size
        elif token["open"]:
            sizes.append(0)
            last.append(0)
        elif token["close"]:
            if len(sizes) > 1:
                group = sizes.pop()
                last.pop()
                sizes[-1], last[-1] = sizes[-1] + group, group
        elif token["repeat"]:
            times = max(1, int(token["high"] or token["low"]))
            sizes[-1] += last[-1] * (times - 1)
            last[-1] *= times
        else:
            inside = kind == "set"
            size = _SET_SIZE if token["set"] or token["any"] else size
            sizes[-1], last[-1] = sizes[-1] + size, size
    return sum(sizes) + 1


def liken_pattern(pattern: str) -> tuple[str, frozenset[str]]:
    """Return a small pattern that is well formed just when this one is, given its classes are.

    Returns:
        The pattern with a letter in place of each class of Unicode characters and with short
        repetitions, and those classes.
    """
    parts: list[str] = []
    classes: set[str] = set()
    inside = False
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token["wide"]:
            classes.add(text)
            text = "a"
        elif inside:
            inside = text != "]"
        elif token["set"]:
            inside = True
        elif token["repeat"]:
            text = _shorten(token)
        parts.append(text)
    return "".join(parts), frozenset(classes)


def _shorten(token: "re.Match[str]") -> str:
    low = int(token["low"])
    high = int(token["high"] or low)
    if not low <= high <= _REPEAT_MAX:
        return token.group()  # RE2 says what is wrong with it
    bounds = [str(min(low, 1))] + [str(min(high, 1))] * bool(token["high"])
    comma = "," if token["comma"] else ""
    return "{" + comma.join([bounds[0], "".join(bounds[1:])] if comma else bounds) + "}"

"""Taking known secrets out of what is about to be recorded or logged. Read `Mask` first.

A mask knows some values and replaces each of them, in every form in which programs commonly write a
text, by `***`. It is a net under careful code, not a proof: a value that was cut into pieces,
reversed, encrypted or encoded in a way that is not listed in `_forms` goes through.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from core.kernel import limits
from core.kernel.types import Json

MASKED = "***"

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_URL_SAFE = ("", "/", "/?:@!$&'()*+,;=-._~%", "/?:@!$&'()*+,;=-._~")
_LINE_CHARS_MIN = 12  # a line of a longer value that counts by itself
_INNER_CHARS_MIN = 6  # of base64 inside other base64: shorter ones are there by chance


class Mask:
    """Replaces values in texts and in JSON. A mask of no values changes nothing."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        kept = {value for value in values if len(value) >= limits.SECRET_CHARS_MIN}
        forms = {form for value in kept for form in _forms(value)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._numbers = frozenset(kept)
        # At a cut only these are looked for: whole texts are cut, then shown.
        self._edges = sorted({edge for value in kept for edge in (value, _one_line(value))})

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Return a text without the values.

        A long text may have been cut inside a value, so its ends are looked at as well.
        """
        if not self._forms:
            return text
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASKED)
        return self._without_edges(text) if len(text) >= limits.MASK_EDGE_CHARS_MIN else text

    def json(self, value: Json) -> Json:
        """Return a JSON value without the values: in texts, keys, and numbers that are one."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._map(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASKED if str(value) in self._numbers else value
        return value

    def _map(self, value: dict[str, Json]) -> dict[str, Json]:
        masked: dict[str, Json] = {}
        for key, item in value.items():
            name = self.text(key)
            count = 2
            while name in masked or (name != key and name in value):
                name = f"{self.text(key)} {count}"  # two keys may be told apart by a value alone
                count += 1
            masked[name] = self.json(item)
        return masked

    def _without_edges(self, text: str) -> str:
        least = limits.SECRET_CHARS_MIN
        for edge in self._edges:
            body = text.rstrip("…")
            size = min(len(edge) - 1, len(body))
            begun = _overlap(body[-size:], edge, least=least) if size >= least else 0
            if begun:
                text = body[:-begun] + MASKED
            size = min(len(edge) - 1, len(text))
            left = _overlap(text[:size][::-1], edge[::-1], least=least) if size >= least else 0
            if left:
                text = MASKED + text[left:]
        return text


NO_MASK = Mask()


def _overlap(text: str, whole: str, *, least: int) -> int:
    """Return how many characters at the end of a text begin `whole`; 0 for fewer than `least`."""
    start = text.find(whole[:least])
    while start != -1:
        if whole.startswith(text[start:]):
            return len(text) - start
        start = text.find(whole[:least], start + 1)
    return 0


def _one_line(value: str) -> str:
    return _BLANKS.sub(" ", value).strip()


def _forms(value: str) -> Iterator[str]:
    """Yield the ways a value is written, none shorter than a value may be."""
    lines = (line.strip() for line in value.splitlines())
    yield from (line for line in lines if len(line) >= _LINE_CHARS_MIN)
    for text in {value, _one_line(value), value.strip()}:
        for form in {*_written(text), *_encoded(text)}:
            if len(form) >= limits.SECRET_CHARS_MIN:
                yield form


def _written(text: str) -> Iterator[str]:
    """Yield a text with what stands for some characters in JSON, Python, URLs, HTML and shells."""
    yield text
    for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield escaped
        yield json.dumps(escaped)[1:-1]  # a message inside a line of a log
    yield repr(text)[1:-1]
    yield repr(text.encode())[2:-1]
    for quoted in (*(quote(text, safe=safe) for safe in _URL_SAFE), quote_plus(text)):
        yield quoted
        yield _PERCENT.sub(lambda match: match.group().lower(), quoted)
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield text.replace("'", "'\"'\"'")


def _encoded(text: str) -> Iterator[str]:
    """Yield a text in hexadecimal and in base64, also as a part of longer base64."""
    data = text.encode()
    yield data.hex()
    yield data.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(data).decode("ascii")
        yield whole
        yield whole.rstrip("=")
        for before in range(3):
            # The characters that depend on this value alone, whatever stands around it.
            first = -(-before * 8 // 6)
            last = (before + len(data)) * 8 // 6
            inner = encode(bytes(before) + data).decode("ascii")[first:last]
            if len(inner) >= _INNER_CHARS_MIN:
                yield inner

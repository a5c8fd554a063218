"""From a definition's text to JSON and the positions of its parts. Read `load` first.

YAML 1.2 rules, of which JSON is a part, without what makes text hard to review or to bound: no
anchors, aliases, merge keys, tags, directives or second documents. The text is scanned by libyaml
(through PyYAML): it takes 30 ms for 64 kB where scanners written in Python take 0.5 to 2.3 s. Its
events are read one at a time, so that a limit stops it at once. What a plain scalar means is
decided by `scalars`, because PyYAML's own rules are those of YAML 1.1.
"""

import re
from dataclasses import dataclass, field

import yaml

from core.kernel import limits
from core.kernel.errors import Problem
from core.kernel.types import Json
from engine.domain.flow.positions import Place, Places, Position, pointer, position_after
from engine.domain.flow.problems import Code, quoted
from engine.domain.flow.scalars import ScalarError, read_plain
from engine.domain.flow.syntax import describe_syntax_error

# Neither controls, nor line ends only YAML 1.1 knows, nor marks that reverse how text is shown,
# with which a definition could read differently from what it says. An escape in double quotes
# makes such a mark visible.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
)
_UNKEEPABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A definition as JSON. With `problems`, `value` is what was read until then, or `None`."""

    value: Json
    places: Places
    problems: tuple[Problem, ...] = ()


def load(source: str | bytes) -> Loaded:
    """Return a definition's JSON value and positions, or what is wrong with its text.

    Takes time and memory in proportion to the text, whatever it holds.
    """
    try:
        text = _decode(source)
        builder = _Builder(text=text)
        builder.build()
    except _StopError as stop:
        return Loaded(value=None, places=Places(), problems=stop.problems)
    places = Places(root=builder.root.place.inside.get("0", Place(value=(1, 1))))
    return Loaded(value=builder.value(), places=places, problems=tuple(builder.problems))


class _StopError(Exception):
    """Reading cannot go on."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


def _decode(source: str | bytes) -> str:
    """Return the source as text that YAML allows, without a byte order mark."""
    if len(source) > limits.SOURCE_BYTES_MAX:
        raise _StopError(_too_large())
    try:
        data = source.encode() if isinstance(source, str) else source
        if len(data) > limits.SOURCE_BYTES_MAX:
            raise _StopError(_too_large())
        text = data.decode()
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        before = source[: error.start]
        known = before.decode() if isinstance(before, bytes) else before
        raise _StopError(
            _problem(Code.NOT_TEXT, position_after(known), "The definition is not UTF-8 text here.")
        ) from error
    text = text.removeprefix("\ufeff")
    match = _FORBIDDEN.search(text)
    if match is not None:
        message = (
            f"The character U+{ord(match.group()):04X} is invisible or changes how text is shown; "
            "remove it, or write it as an escape between double quotes."
        )
        raise _StopError(_problem(Code.NOT_TEXT, position_after(text[: match.start()]), message))
    return text


def _too_large() -> Problem:
    message = f"The definition is over {limits.SOURCE_BYTES_MAX} bytes."
    return _problem(Code.TOO_LARGE, (1, 1), message)


def _problem(code: Code, position: Position, message: str, *, path: str = "") -> Problem:
    line, column = position
    return Problem(message=message, path=path, line=line, column=column, code=str(code))


@dataclass(slots=True, kw_only=True)
class _Frame:
    """A list or a map being read. `key` is the key whose value comes next."""

    container: list[Json] | dict[str, Json]
    place: Place
    key: str | None = None
    key_position: Position | None = None
    is_dropped: bool = False  # the coming value belongs to a key that was refused


@dataclass(slots=True, kw_only=True)
class _Builder:
    """Builds the value from the events of the scanner. The root frame is a list of one item."""

    text: str
    root: _Frame = field(default_factory=lambda: _Frame(container=[], place=Place(value=(1, 1))))
    problems: list[Problem] = field(default_factory=list)
    _frames: list[_Frame] = field(default_factory=list)
    _node_count: int = 0

    def build(self) -> None:
        """Read the whole text.

        Raises:
            _StopError: at a syntax error or over a limit, with everything found until then.
        """
        self._frames = [self.root]
        parser = yaml.CSafeLoader(self.text)
        try:
            event = parser.get_event()
            while event is not None:
                self._read(event)
                event = parser.get_event()
        except yaml.MarkedYAMLError as error:
            position, message = describe_syntax_error(error, text=self.text)
            problem = _problem(Code.SYNTAX, position, message)
            raise _StopError(*self.problems, problem) from error
        finally:
            parser.dispose()

    def value(self) -> Json:
        """Return the value of the document, `None` for an empty one."""
        items = self.root.container
        assert isinstance(items, list), "the root frame is a list"
        return items[0] if items else None

    def _read(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._check_document(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._frames.pop()
            self._frames[-1].key = None
        elif isinstance(event, yaml.NodeEvent):
            self._node_count += 1
            if self._node_count > limits.SOURCE_NODE_COUNT_MAX:
                message = f"The definition has over {limits.SOURCE_NODE_COUNT_MAX} values."
                self._stop(Code.TOO_LARGE, _start(event), message)
            self._check_node(event)
            frame = self._frames[-1]
            if isinstance(frame.container, dict) and frame.key is None:
                self._read_key(event, frame)
            else:
                self._read_value(event, frame)

    def _read_key(self, event: yaml.NodeEvent, frame: _Frame) -> None:
        position = _start(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(Code.BAD_KEY, position, "A key must be a text.")
        assert isinstance(event, yaml.ScalarEvent), "anything else stopped"
        assert isinstance(frame.container, dict), "only maps have keys"
        key = event.value
        frame.key, frame.key_position, frame.is_dropped = key, position, True
        if event.implicit[0] and key == "<<":
            message = "Merge keys are not accepted; write the values out."
            self._note(Code.UNSUPPORTED_YAML, position, message)
        elif event.implicit[0] and not key:
            self._note(Code.BAD_KEY, position, "A key is missing before the `:`.")
        elif event.implicit[0] and not _is_plain_text(key):
            message = f"A key must be a text, and {quoted(key)} is not; put it between quotes."
            self._note(Code.BAD_KEY, position, message)
        elif len(key) > limits.SOURCE_KEY_CHARS_MAX or _UNKEEPABLE.search(key):
            message = f"The key is over {limits.SOURCE_KEY_CHARS_MAX} characters or holds controls."
            self._note(Code.BAD_KEY, position, message)
        elif key in frame.container:
            first = frame.place.inside[key].key
            assert first is not None, "what is in a map has a key"
            message = f"The key {quoted(key)} is already in line {first[0]}."
            self._note(Code.DUPLICATE_KEY, position, message)
        else:
            frame.is_dropped = False

    def _read_value(self, event: yaml.NodeEvent, frame: _Frame) -> None:
        place = Place(value=_start(event), key=frame.key_position)
        value: Json = None
        inner: _Frame | None = None
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            container: list[Json] | dict[str, Json] = (
                {} if isinstance(event, yaml.MappingStartEvent) else []
            )
            value, inner = container, _Frame(container=container, place=place)
        if isinstance(frame.container, list):
            frame.place.inside[str(len(frame.container))] = place
            frame.container.append(value)
        elif frame.key is not None and not frame.is_dropped:
            frame.place.inside[frame.key] = place
            frame.container[frame.key] = value
        if inner is None:
            frame.key = None
            return
        if len(self._frames) > limits.SOURCE_DEPTH_MAX:
            message = f"The definition nests over {limits.SOURCE_DEPTH_MAX} levels deep."
            self._stop(Code.TOO_LARGE, place.value, message)
        self._frames.append(inner)

    def _scalar(self, event: yaml.ScalarEvent) -> Json:
        if _UNKEEPABLE.search(event.value):
            message = "The text holds a control character, which cannot be kept."
            self._note(Code.BAD_SCALAR, _start(event), message)
        if not event.implicit[0]:
            return event.value
        try:
            return read_plain(event.value)
        except ScalarError as error:
            self._note(Code.BAD_SCALAR, _start(event), str(error))
            return None

    def _check_node(self, event: yaml.NodeEvent) -> None:
        message = ""
        if isinstance(event, yaml.AliasEvent):
            message = f"Aliases (`*{event.anchor}`) are not accepted; write the value out."
        elif event.anchor is not None:
            message = f"Anchors (`&{event.anchor}`) are not accepted; remove it."
        elif getattr(event, "tag", None) is not None:
            message = "Tags (`!…`) are not accepted; remove it."
        if message:
            self._note(Code.UNSUPPORTED_YAML, _start(event), message)

    def _check_document(self, event: yaml.DocumentStartEvent) -> None:
        if self.root.container:
            message = "A definition is one document; remove `---` and what follows it."
            self._stop(Code.UNSUPPORTED_YAML, _start(event), message)
        if event.tags or event.version not in (None, (1, 2)):
            message = "Directives (`%…`) are not accepted; a definition is YAML 1.2."
            self._note(Code.UNSUPPORTED_YAML, _start(event), message)

    def _note(self, code: Code, position: Position, message: str) -> None:
        self.problems.append(_problem(code, position, message, path=self._path()))
        if len(self.problems) >= limits.PROBLEM_COUNT_MAX:
            raise _StopError(*self.problems)

    def _path(self) -> str:
        """Return the pointer of what is being read."""
        parts: list[str | int] = []
        for frame in self._frames[1:]:
            if isinstance(frame.container, list):
                # The frames outside the innermost one have their current item already.
                parts.append(len(frame.container) - (frame is not self._frames[-1]))
            elif frame.key is not None:
                parts.append(frame.key)
        return pointer(parts)

    def _stop(self, code: Code, position: Position, message: str) -> None:
        problem = _problem(code, position, message, path=self._path())
        raise _StopError(*self.problems, problem)


def _start(event: yaml.Event) -> Position:
    mark = event.start_mark
    assert mark is not None, "the scanner marks every event"
    return mark.line + 1, mark.column + 1


def _is_plain_text(text: str) -> bool:
    try:
        return isinstance(read_plain(text), str)
    except ScalarError:
        return False

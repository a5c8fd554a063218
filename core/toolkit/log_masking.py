"""Values that no line of this process's log may show. Read `remember` and `mask_line`.

A process remembers what it has opened, also after the attempt it was for: threads of actions, and
libraries that log late, outlive it.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from core.kernel import limits
from core.kernel.masking import NO_MASK, Mask

_lock = threading.Lock()
_values: "OrderedDict[str, None]" = OrderedDict()
_masks: list[Mask] = [NO_MASK]


def remember(values: Iterable[str]) -> None:
    """Hide values in every line from now on; the oldest give way to `LOG_MASK_COUNT_MAX` others."""
    with _lock:
        before = set(_values)
        for value in values:
            _values[value] = None
            _values.move_to_end(value)
        while len(_values) > limits.LOG_MASK_COUNT_MAX:
            _values.popitem(last=False)
        if set(_values) != before:
            _masks[0] = Mask(_values)


def mask_line(line: str) -> str:
    """Return a line of the log without what is remembered."""
    return _masks[0].text(line)


def forget_all() -> None:
    """Remember nothing; for tests."""
    with _lock:
        _values.clear()
        _masks[0] = NO_MASK

"""Keys of instances: what is in one is found again, whatever has begun anew around it."""

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.keys import (
    any_try_of,
    child_key,
    counted_key,
    earlier_key,
    is_earlier,
    is_undo,
    number_of,
    parent_of,
    parts_of,
    path_of,
    undo_key,
    undone_by,
)
from engine.portal.naming import long_key, short_key, title_of

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True) | st.sampled_from(
    ["item", "cell", "turn"]
)
PARTS = st.lists(
    st.tuples(NAMES, st.integers(1, 10_000), st.integers(0, 50)), min_size=1, max_size=5
)


def key_of(parts):
    """Return the key of parts, made as the engine makes it: from the inside out, try by try."""
    key = ""
    for name, number, _ in parts:
        key = child_key(key, name, number)
    made = key
    for depth in range(len(parts), 0, -1):
        attempt = parts[depth - 1][2]
        if attempt:
            around = "/".join(key.split("/")[:depth])
            made = earlier_key(made, around, attempt)
    return made


@given(parts=PARTS)
def test_every_number_and_try_of_a_key_can_be_read(parts):
    key = key_of(parts)

    for read in (key, undo_key(key)):
        assert parts_of(read) == tuple(parts)
        assert number_of(read) == parts[-1][1]
        assert path_of(read) == "/".join(name for name, _, _ in parts)
    plain = key_of([(name, number, 0) for name, number, _ in parts])
    assert any_try_of(key) == plain
    assert is_earlier(key) == bool(parts[-1][2])
    assert counted_key(key) == key_of([*parts[:-1], (*parts[-1][:2], 0)])
    assert (is_undo(undo_key(key)), undone_by(undo_key(key))) == (True, key)
    if len(parts) > 1:
        assert parts_of(parent_of(key)) == tuple(parts[:-1])


@given(parts=PARTS, undoes=st.booleans())
def test_an_address_leads_back_to_every_key_and_every_key_has_a_title(parts, undoes):
    key = undo_key(key_of(parts)) if undoes else key_of(parts)

    assert long_key(short_key(key)) == key
    assert title_of(key) == title_of(short_key(key))
    assert "@" not in title_of(key)
    assert "#" not in title_of(key)


@given(text=st.text(max_size=40))
def test_nonsense_has_parts_too(text):
    parts = parts_of(text)

    assert parts
    assert all(number >= 0 and attempt >= 0 for _, number, attempt in parts)

"""Whatever is done to a ledger at random, verification sees it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.domain.entry import leaf_hash
from audit.domain.verification import HeadRow, StoredRow, Tally, verify_chains
from tests.fakes.streams import OTHER, a_stream


def _swapped(rows, index, other):
    changed = list(rows)
    changed[index], changed[other] = changed[other], changed[index]
    return changed


def _forged(rows, index, _other):
    """Change what an entry says and its leaf, as one who knows the hash would."""
    document = json.loads(rows[index].body)
    document["data"]["n"] = 1_000
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    changed = list(rows)
    changed[index] = rows[index]._replace(body=body, leaf=leaf_hash(body))
    return changed


_CHANGES = {
    "drop": lambda rows, index, _other: rows[:index] + rows[index + 1 :],
    "double": lambda rows, index, _other: [*rows[: index + 1], *rows[index:]],
    "swap": _swapped,
    "forge": _forged,
}


@given(
    count=st.integers(1, 6),
    change=st.sampled_from(sorted(_CHANGES)),
    index=st.integers(0, 5),
    other=st.integers(0, 5),
)
@settings(max_examples=200)
def test_no_rearrangement_of_entries_passes(count, change, index, other):
    rows, head = a_stream(count=count)
    more, second = a_stream(stream=OTHER, count=2)
    changed = _CHANGES[change](rows, index % count, other % count)

    def verify(entries):
        return verify_chains(rows=[*entries, *more], heads=[head, second], tally=Tally())

    assert verify(rows) is None
    assert (verify(changed) is None) == (changed == rows)


@pytest.mark.parametrize("field", StoredRow._fields)
def test_every_field_of_a_row_is_looked_at(field):
    rows, head = a_stream()
    other = {
        "id": 0,
        "stream": str(OTHER),
        "seq": 9,
        "at": rows[0].at.replace(year=1999),
        "payloads": [],
        "leaf": bytes(32),
        "body": b"{}",
    }.get(field, "x")

    found = verify_chains(
        rows=[rows[0]._replace(**{field: other}), *rows[1:]],
        heads=[head, HeadRow(str(OTHER), 1, rows[0].leaf)],
        tally=Tally(),
    )

    assert found is not None

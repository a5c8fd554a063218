"""Audience keys and their channels."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity.domain import audience
from core.identity.domain.names import ROLE_SLUG_PATTERN
from core.identity.domain.permissions import ScopeKind

ID = UUID("0198c0de-0000-7000-8000-00000000abcd")
HEX = "0198c0de00007000800000000000abcd"

keys = st.one_of(
    st.uuids().map(audience.format_user_key),
    st.integers(min_value=1, max_value=2**31).map(audience.format_group_key),
    st.builds(
        lambda role, kind, scope_id: audience.format_role_key(
            role=role, scope_kind=kind, scope_id=scope_id
        ),
        st.from_regex(ROLE_SLUG_PATTERN, fullmatch=True),
        st.sampled_from(ScopeKind),
        st.uuids(),
    ),
)


def test_keys_are_written_as_the_contract_says():
    assert audience.format_user_key(ID) == f"u:{HEX}"
    assert audience.format_group_key(12) == "t:12"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (ScopeKind.GLOBAL, "r:approver@g"),
        (ScopeKind.PROJECT, f"r:approver@p:{HEX}"),
        (ScopeKind.WORKFLOW, f"r:approver@w:{HEX}"),
    ],
)
def test_a_role_key_names_the_scope_of_the_assignment(kind, key):
    assert audience.format_role_key(role="approver", scope_kind=kind, scope_id=ID) == key


@given(key=keys)
def test_every_channel_is_a_legal_channel_name(key):
    assert re.fullmatch(r"[a-z0-9_.-]{1,99}", audience.format_channel(key))


@given(one=keys, other=keys)
def test_different_keys_have_different_channels(one, other):
    same_channel = audience.format_channel(one) == audience.format_channel(other)

    assert same_channel is (one == other)

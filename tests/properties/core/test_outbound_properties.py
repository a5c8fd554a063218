"""What holds for every URL, address and result."""

import json
from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from core.kernel.canonical import canonical_bytes
from core.kernel.egress import EgressPolicy, find_address, is_public, may_connect
from core.toolkit.outbound import OutboundError, parse_target
from engine.actions.contract import ActionError, recordable

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_RESULTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.text() | st.from_regex(r"https?://[^ ]{1,40}", fullmatch=True))
@example("http://[::1")
@example("http://a:b:80/")
@example("http://\u2170.example")
def test_any_text_is_a_plain_target_or_refused(text):
    try:
        target = parse_target(text)
    except OutboundError:
        return

    assert target.scheme in {"http", "https"}
    assert 0 < target.port < 65_536
    assert target.host.isascii()
    assert target.path.startswith("/")
    assert target.path.isascii()
    assert not set(target.path) & set(" \r\n\t\\#")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_dress(address):
    number = int(address)
    for dressed in (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80),
    ):
        assert is_public(dressed) is is_public(address)


@given(st.ip_addresses())
def test_without_a_list_only_the_internet_is_allowed(address):
    allowed = may_connect(policy=EgressPolicy(), host="h", port=80, address=address)

    assert allowed is is_public(address)
    assert find_address(str(address)) == address
    if allowed and isinstance(address, IPv4Address):
        assert address.is_global, "the library, whose list is another, agrees"


@given(_RESULTS)
def test_a_recorded_result_is_read_back_as_itself(value):
    try:
        kept = recordable(value)
    except ActionError:
        return

    assert recordable(kept) == kept
    assert json.loads(canonical_bytes(kept)) == kept

"""Which addresses are public, and what a deployment may add."""

from ipaddress import ip_address

import pytest

from core.kernel.egress import (
    EgressEntryError,
    EgressPolicy,
    is_public,
    may_connect,
    parse_policy,
)


@pytest.mark.parametrize(
    "text",
    [
        "93.184.216.34",
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:0101:0101::1",
    ],
)
def test_addresses_of_the_internet_are_public(text):
    assert is_public(ip_address(text))
    assert may_connect(policy=EgressPolicy(), host="x", port=80, address=ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "203.0.113.9",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001::1",
        "2001:db8::1",
        "100::1",
        "3fff::1",
        "4000::1",
    ],
)
def test_every_other_address_is_not(text):
    assert not is_public(ip_address(text))
    assert not may_connect(policy=EgressPolicy(), host="x", port=80, address=ip_address(text))


def _allows(entries, *, host, port, address):
    return may_connect(
        policy=parse_policy(entries), host=host, port=port, address=ip_address(address)
    )


def test_a_network_allows_every_port_of_its_addresses():
    assert _allows(["10.1.0.0/16"], host="x", port=1, address="10.1.255.1")
    assert _allows(["10.1.0.0/16"], host="x", port=1, address="::ffff:10.1.255.1")
    assert _allows(["fd00::/8"], host="x", port=1, address="fd00::1")
    assert _allows(["10.1.2.3"], host="x", port=1, address="10.1.2.3")
    assert not _allows(["10.1.0.0/16"], host="x", port=1, address="10.2.0.1")
    assert not _allows(["10.1.0.0/16"], host="x", port=1, address="fd00::1")


def test_an_endpoint_allows_one_port_of_one_address_however_it_was_named():
    for host in ("127.0.0.1", "localhost"):
        assert _allows(["127.0.0.1:9000"], host=host, port=9000, address="127.0.0.1")
        assert not _allows(["127.0.0.1:9000"], host=host, port=9001, address="127.0.0.1")
        assert not _allows(["127.0.0.1:9000"], host=host, port=9000, address="127.0.0.2")
    assert _allows(["[::1]:9000"], host="x", port=9000, address="::1")
    assert not _allows(["[::1]:9000"], host="x", port=9000, address="127.0.0.1")


def test_a_name_allows_the_internal_addresses_it_resolves_to():
    entries = [" Deployer.internal:8080 "]
    for address in ("10.0.0.5", "127.0.0.1", "fd00::5", "::ffff:10.0.0.5"):
        assert _allows(entries, host="deployer.internal", port=8080, address=address)
        assert _allows(entries, host="deployer.internal.", port=8080, address=address)
        assert not _allows(entries, host="deployer.internal", port=80, address=address)
        assert not _allows(entries, host="other.internal", port=8080, address=address)


def test_a_name_never_allows_metadata_services_or_multicast():
    for address in ("169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:169.254.169.254"):
        assert not _allows(["a.internal:80"], host="a.internal", port=80, address=address)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "host:\uff18\uff10",
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/40",
        "host:",
        ":80",
        "host:0",
        "host:65536",
        "host:http",
        "a:b:80",
        "[::1]",
        "http://host:80",
    ],
)
def test_an_entry_that_cannot_be_read_is_refused(entry):
    with pytest.raises(EgressEntryError):
        parse_policy([entry])

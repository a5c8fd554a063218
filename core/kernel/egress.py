"""Which network addresses the platform may connect to. Read `EgressPolicy` first.

A definition may name any host, and a name's owner may point it at the machine the worker runs on or
at a cloud's metadata service. So an address is judged after the name was resolved, and everything
that is not public is refused unless the deployment lists it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

from core.kernel.errors import InvalidError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# Source: the IANA special-purpose address registries (RFC 6890 and its updates), written out
# because `ipaddress.is_global` differs between Python releases and calls multicast global.
_DENIED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared address space of carriers
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
_DENIED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")

# What a host name may be allowed to resolve to: an organization's own machines. Link-local and
# multicast are not among them, because nobody gives those a name for a good reason.
_INTERNAL = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


class EgressEntryError(InvalidError):
    """An entry of the list of allowed private targets cannot be read."""

    code = "core.egress_entry_invalid"
    title = "An allowed private target is neither host:port nor a network."


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """The private targets a deployment allows beside the public internet.

    `networks` allow every port. `endpoints` are (address, port): that address, however it was
    named. `names` are (host name, port): whatever internal address the name resolves to.
    """

    networks: tuple[Network, ...] = ()
    endpoints: frozenset[tuple[Address, int]] = frozenset()
    names: frozenset[tuple[str, int]] = frozenset()


def parse_policy(entries: Iterable[str]) -> EgressPolicy:
    """Read a list of `host:port`, `[v6 address]:port`, addresses and networks in CIDR form.

    Raises:
        EgressEntryError: for an entry that is none of these.
    """
    networks: list[Network] = []
    endpoints: set[tuple[Address, int]] = set()
    names: set[tuple[str, int]] = set()
    for entry in (entry.strip() for entry in entries):
        network = _find_network(entry)
        if network is not None:
            networks.append(network)
            continue
        host, port = _split_endpoint(entry)
        address = find_address(host)
        if address is None:
            if ":" in host:
                raise EgressEntryError(f"{entry!r} is not an address.", entry=entry)
            names.add((host.lower(), port))
        else:
            endpoints.add((_unwrap(address), port))
    return EgressPolicy(
        networks=tuple(networks), endpoints=frozenset(endpoints), names=frozenset(names)
    )


def find_address(text: str) -> Address | None:
    """Read an address in its ordinary form; `None` for a name and for decimal or octal forms."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def may_connect(*, policy: EgressPolicy, host: str, port: int, address: Address) -> bool:
    """Say whether a connection to an address, to which `host` resolved, is allowed."""
    target = _unwrap(address)
    if is_public(address):
        return True
    if (target, port) in policy.endpoints:
        return True
    if any(target in network or address in network for network in policy.networks):
        return True
    if (host.lower().rstrip("."), port) not in policy.names:
        return False
    return any(target in network for network in _INTERNAL)


def is_public(address: Address) -> bool:
    """Say whether an address is on the public internet, looking inside IPv6 forms of IPv4."""
    target = _unwrap(address)
    if isinstance(target, IPv4Address):
        return not any(target in network for network in _DENIED_4)
    return target in _GLOBAL_6 and not any(target in network for network in _DENIED_6)


def _unwrap(address: Address) -> Address:
    """Return the IPv4 address that packets to an IPv6 form of it reach, else the address."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return address


def _find_network(entry: str) -> Network | None:
    try:
        return ip_network(entry)
    except ValueError:
        return None


def _split_endpoint(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    # An address with a mask that covers host bits lands here too, and is refused as well.
    if not host or "/" in host or not port.isascii() or not port.isdigit():
        raise EgressEntryError(f"{entry!r} is neither host:port nor a network.", entry=entry)
    if not 0 < int(port) <= 65_535:  # noqa: PLR2004  # the range of TCP ports
        raise EgressEntryError(f"{entry!r} has no port between 1 and 65535.", entry=entry)
    return host, int(port)

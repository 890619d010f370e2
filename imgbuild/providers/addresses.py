"""Which network addresses a result may be fetched from."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# 100.64/10 serves carriers and overlay networks; 198.18/15 is what local proxies hand out as stand-ins.
_NEAR_V4 = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
)
_NEAR_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
# What clouds tell their machines about themselves, keys included, at addresses that look like others.
_METADATA = frozenset(
    {
        IPv4Address("100.100.100.200"),  # Alibaba Cloud
        IPv4Address("168.63.129.16"),  # Azure's WireServer
        IPv6Address("fd00:ec2::254"),  # AWS
        IPv6Address("fd20:ce::254"),  # Google Cloud
    }
)
_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


class Zone(Enum):
    """How far an address reaches."""

    PUBLIC = "public"
    NEAR = "near"
    """Loopback and private networks: open only to a provider that is itself on one."""
    FORBIDDEN = "forbidden"
    """Link-local (cloud metadata), multicast, unspecified, reserved, private ones in disguise."""


def zone(address: IPv4Address | IPv6Address) -> Zone:
    """The zone of an address. `ipaddress.is_global` alone is no such policy: see the tunnels below."""
    if address in _METADATA:
        return Zone.FORBIDDEN
    if isinstance(address, IPv4Address):
        if any(address in network for network in _NEAR_V4):
            return Zone.NEAR
        return Zone.PUBLIC if address.is_global and not address.is_multicast else Zone.FORBIDDEN
    if address.ipv4_mapped is not None:
        return zone(address.ipv4_mapped)
    if any(address in network for network in _NEAR_V6):
        return Zone.NEAR
    tunnelled = _tunnelled(address)
    if tunnelled:
        # Nobody reaches a private address through a public relay, except to get around a check.
        return Zone.PUBLIC if all(zone(inner) is Zone.PUBLIC for inner in tunnelled) else Zone.FORBIDDEN
    return Zone.PUBLIC if address.is_global and address in _UNICAST_V6 else Zone.FORBIDDEN


def is_disguised(host: str) -> bool:
    """Whether a host is an address in a spelling that no honest link uses: 2130706433, 127.1, fe80::1%lo."""
    if "%" in host:
        return True
    if not re.search(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$", host):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False


async def resolve(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    """The addresses of a host, in the system's order. Raises OSError or UnicodeError where there are none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # The zone id of a link-local address is no part of the address.
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _tunnelled(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses inside a 6to4, Teredo or NAT64 address."""
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return ()

"""Private addresses are recognised in every dress."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from imgbuild.providers.addresses import Zone, is_disguised, zone


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public(address: str) -> None:
    assert zone(ip_address(address)) is Zone.PUBLIC


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.3",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.5",
        "::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
    ],
)
def test_near(address: str) -> None:
    assert zone(ip_address(address)) is Zone.NEAR


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "192.0.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "100::1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::1",
        "2001:0:808:808:0:0:80ff:fffe",
        "::ffff:169.254.169.254",
    ],
)
def test_forbidden(address: str) -> None:
    assert zone(ip_address(address)) is Zone.FORBIDDEN


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "0177.0.0.1", "017700000001", "1.2.3.4.5"),
        *("fe80::1%lo", "fe80::1%25lo"),
    ],
)
def test_spellings_that_only_a_resolver_understands(host: str) -> None:
    assert is_disguised(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "example.com", "a1.example", "xn--1.example", "::1", "1e100.net"]
)
def test_plain_hosts(host: str) -> None:
    assert not is_disguised(host)

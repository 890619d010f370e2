"""A01: results behind private, reserved and disguised addresses, and names that change where they lead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from attack_cases import sample
from hostile_service import HostileService
from project_folder import ProjectFolder

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.providers.download import DownloadClient
from imgbuild.providers.transport import tls_context

# The provider is on loopback itself: even so, these are nobody's pictures.
FORBIDDEN = [
    "http://169.254.169.254/latest/meta-data/",
    "http://2130706433:{port}/x.png",
    "http://[::ffff:169.254.169.254]/",
    "http://100.100.100.200/latest/",
    "http://168.63.129.16/machine",
    "http://0x7f.1:{port}/x.png",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://0.0.0.0:{port}/x.png",
    "http://0177.0.0.1:{port}/x.png",
    "http://017700000001:{port}/x.png",
    "http://0x7f000001:{port}/x.png",
    "http://127.1:{port}/x.png",
    "http://0:{port}/x.png",
    "http://[::]:{port}/x.png",
    "http://[::7f00:1]:{port}/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:7f00:1::1]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[fd00:ec2::254]/latest/",
    "http://[fd20:ce::254]/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.0.0.192/opc/v1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/x",
]


@pytest.mark.parametrize("link", sample(FORBIDDEN, 11))
def test_no_result_is_fetched_from_there(
    project: ProjectFolder, service: HostileService, elsewhere: HostileService, link: str
) -> None:
    project.manifest(service.manifest())
    service.links(link.format(port=elsewhere.url.rpartition(":")[2]))
    run = project.json("build", code=1)
    (image,) = (event for event in run.events if event["event"] == "image")
    assert image["error"]["kind"] == "unusable"
    assert elsewhere.got == []
    assert service.submissions == 1
    assert not (project.root / "out").exists()


class LyingNames(asyncio.SelectorEventLoop):
    """An event loop whose name server says something else each time that it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._answers: Iterator[list[str]] = chain(answers, repeat(answers[-1]))

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> list[Any]:
        self.asked.append(str(host))
        found = [str(host)] if str(host)[0].isdigit() else next(self._answers)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def fetched(loop: LyingNames, url: str, to: Path, home: str = "https://8.8.8.8") -> ProviderFailure:
    async def fetch() -> None:
        client = DownloadClient("studio", home, 1.0, tls_context())
        try:
            await client.fetch(url, to)
        finally:
            await client.aclose()

    with asyncio.Runner(loop_factory=lambda: loop) as runner, pytest.raises(ProviderFailure) as caught:
        runner.run(fetch())
    return caught.value


def test_a_name_that_leads_elsewhere_after_the_check_is_never_asked_again(
    tmp_path: Path, elsewhere: HostileService
) -> None:
    port = elsewhere.url.rpartition(":")[2]
    loop = LyingNames(["8.8.8.8"], ["127.0.0.1"])
    failure = fetched(loop, f"http://pictures.example:{port}/x.png", tmp_path / "x")
    assert failure.kind in (FailureKind.TRANSIENT, FailureKind.UNUSABLE)
    assert [host for host in loop.asked if host == "pictures.example"] == ["pictures.example"]
    assert elsewhere.got == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["8.8.8.8", "169.254.169.254"], ["10.0.0.1"]]
)
def test_a_name_with_a_private_address_among_its_addresses_is_refused(
    tmp_path: Path, elsewhere: HostileService, addresses: list[str]
) -> None:
    port = elsewhere.url.rpartition(":")[2]
    loop = LyingNames(addresses)
    failure = fetched(loop, f"http://pictures.example:{port}/x.png", tmp_path / "x")
    assert failure.kind is FailureKind.UNUSABLE
    assert "private or reserved" in failure.message
    assert elsewhere.got == []


def test_a_reference_in_a_manifest_leads_to_no_private_address(
    project: ProjectFolder, elsewhere: HostileService
) -> None:
    elsewhere.picture = lambda path: (200, {}, b"secret")
    link = f"{elsewhere.url}/secret.png"
    project.manifest(
        "version: 1\n"
        "providers: {studio: {type: openai, api_key: '${STUDIO_KEY}', base_url: 'https://8.8.8.8/v1'}}\n"
        f"images: {{a: {{prompt: p, model: gpt-image-1, size: 1024x1024, output: a.png, references: ['{link}']}}}}\n"
    )
    run = project.run("build", "-y", IMGBUILD_TRUSTED_ORIGINS="https://8.8.8.8")
    assert run.code == 1, run.err
    assert "private or reserved" in run.err
    assert elsewhere.got == []

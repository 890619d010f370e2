"""`imgbuild watch --ui` as a process of its own, with its page's address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from watch_session import WatchSession


@contextmanager
def page_of(url: str, token: str) -> Iterator[httpx.Client]:
    """A browser's requests, of a page that is open: with the session's cookie and the right origin."""
    with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=30) as client:
        client.headers["origin"] = url
        client.post("/session", content=token).raise_for_status()
        yield client


class LiveSession(WatchSession):
    """A session with its page, in a folder."""

    def __init__(self, root: Path, environ: Mapping[str, str], *words: str) -> None:
        super().__init__(root, environ, "--ui", "--port", "0", *words)
        try:
            page = self.until(lambda: [e for e in self.events if e["event"] == "data"], "the page")
        except AssertionError:
            self.kill()
            raise
        self.address: str = page[0]["value"]["url"]
        """With the token."""
        self.url, _, self.token = self.address.replace("/open#", "#").partition("#")

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """The requests of a page that is open."""
        with page_of(self.url, self.token) as client:
            yield client

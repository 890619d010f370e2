"""A gateway on loopback that means harm: it takes tasks as `uniall` does, and answers whatever a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = bytes | Iterable[bytes]
Reply = tuple[int, dict[str, str], Body]
"""Status, headers and body. A body in pieces is sent without a length, to the last one or until the client leaves."""

API = "/v1/images/tasks"
"""How the paths begin that are asked with a key."""

MANIFEST = """\
version: 1
providers:
  studio:
    type: uniall
    base_url: {url}
    api_key: ${{STUDIO_KEY}}
    poll_interval: 50ms
    timeout: {timeout}
    deadline: 20s
    pricing: {{unit: USD, per_image: {{low: 0.01}}}}
defaults: {{provider: studio, model: gpt-image-2, quality: low, size: 1024x1024}}
images:
  hero: {{prompt: a lighthouse, output: out/hero.png}}
"""


@dataclass(frozen=True)
class Got:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HostileService:
    """`submit` and `poll` give the answers of the API, `picture` everything else that is asked for."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    submit: Callable[[], Reply] = lambda: answer({"task_id": "t-1", "status": "NOT_START"})
    poll: Callable[[], Reply] = lambda: answer({})
    picture: Callable[[str], Reply] = lambda path: (404, {}, b"")

    def links(self, *urls: str, **more: object) -> None:
        """The task is done, and these are its results."""
        self.poll = lambda: answer(
            {
                "code": "success",
                "data": {"task_id": "t-1", "status": "SUCCESS", "result_url": [*urls], **more},
            }
        )

    def gives(self, body: Body, **headers: str) -> None:
        """The task is done, and this is its picture."""
        self.links(f"{self.url}/picture.png")
        self.picture = lambda path: (200, {"Content-Type": "image/png", **headers}, body)

    def manifest(self, timeout: str = "10s") -> str:
        """A project with one image of this service."""
        return MANIFEST.format(url=self.url, timeout=timeout)

    @property
    def submissions(self) -> int:
        """Paid requests."""
        return sum(one.method == "POST" for one in self.got)

    def reply(self, got: Got) -> Reply:
        if got.path.startswith(API):
            return self.submit() if got.method == "POST" else self.poll()
        return self.picture(got.path)


def answer(value: Any, status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


@contextmanager
def hostile_service() -> Iterator[HostileService]:
    """Run one, until the block ends."""
    service = HostileService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(self.command, self.path, headers, self.rfile.read(length))
            service.got.append(got)
            status, headers, body = service.reply(got)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            whole = isinstance(body, bytes)
            self.send_header(*("Content-Length", str(len(body))) if whole else ("Connection", "close"))
            self.end_headers()
            with suppress(OSError):
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)
                    self.wfile.flush()

        do_GET = do_POST = do_PUT = handle_any

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()

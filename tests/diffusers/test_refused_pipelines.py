"""What no local pipeline is loaded for: wrong words, pickles, code, weights and packages that are not there."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version

import pytest
from diffusers_projects import add, failures, models
from project_folder import ProjectFolder

# Whichever comes first waits for the libraries to be imported, and for pipelines to be made.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("device: cpu", "devise: cpu", 'type diffusers has no option "devise"; did you mean "device"?'),
        ("device: cpu", "device: gpu", "options: device is auto, cpu, mps, cuda"),
        ("device: cpu", "dtype: int8", "options: dtype is one of auto, float32"),
        ("device: cpu", "loras: [style.bin]", "options: loras is a list of .safetensors files"),
        (
            "device: cpu",
            "loras: [{path: a.safetensors, weight: 99}]",
            "options: loras weight is a number from",
        ),
        ("device: cpu", "batch: 0", "options: batch is a whole number from 1 to 64"),
        ("device: cpu", "tiling: 1", "options: tiling is true or false"),
        ("device: cpu", "revision: ../..", "options: revision is a branch, a tag or a commit"),
        ("type: diffusers,", "type: diffusers, command: ls,", "type diffusers has no `command`"),
        ("steps: 2", "stepz: 2", 'model tiny does not know the parameter "stepz"'),
        ("model: tiny", "model: /srv/models/tiny", 'diffusers has no model "/srv/models/tiny"'),
        ("model: tiny", "model: ~/tiny", "a folder relative to the manifest or to options.folder"),
        ("model: tiny, ", "", "diffusers needs a model"),
        ("size: 64x64", "size: 9000x64", "nothing that the service generates covers 9000x64"),
        ("size: 64x64", "size: 65x64, fit: exact", "cannot generate exactly 65x64"),
    ],
)
def test_what_means_nothing_is_an_error_of_the_manifest(
    studio: ProjectFolder, old: str, new: str, words: str
) -> None:
    studio.edit(old, new)
    run = studio.run("check")
    assert (run.code, words in run.err) == (2, True), run.err


def test_each_failure_is_its_images_own_and_says_what_to_do(studio: ProjectFolder) -> None:
    tiny, pickled = models(studio) / "tiny", models(studio) / "pickled"
    (models(studio) / "one.safetensors").write_bytes(b"")
    for name, index in {
        "code": {"unet": ["spy", "Spy"]},
        "class": {"_class_name": ["spy", "Spy"]},
        "words": None,
    }.items():
        shutil.copytree(tiny, models(studio) / name)
        told = json.loads((tiny / "model_index.json").read_text()) | index if index else "?"
        (models(studio) / name / "model_index.json").write_text(json.dumps(told))
    # Python would find it: commands run in the project's folder.
    studio.write("spy.py", "open('spied', 'w').close()\nclass Spy: pass\n")
    shutil.copytree(tiny, models(studio) / "torn")
    (models(studio) / "torn/unet/diffusion_pytorch_model.safetensors").write_bytes(b"torn")
    shutil.copytree(tiny, models(studio) / "partial")
    shutil.rmtree(models(studio) / "partial/vae")
    own = "prompt: a fox, size: 64x64"
    add(
        studio,
        missing=f"{own}, model: nowhere",
        pickled=f"{own}, model: pickled",
        code=f"{own}, model: code",
        list=f"{own}, model: class",
        words=f"{own}, model: words",
        torn=f"{own}, model: torn",
        partial=f"{own}, model: partial",
        single=f"{own}, model: one.safetensors",
        steps=f"{own}, params: {{steps: none}}",
        strength=f"{own}, params: {{strength: 0.5}}",
        misfit=f"{own}, params: {{scheduler: flow_euler}}",
    )
    assert studio.run("check").code == 0
    run = studio.json("build", code=1)
    assert run.counts() == {"generated": 1, "failed": 11}
    found = failures(run)
    assert {error["kind"] for error in found.values()} == {"invalid"}
    for id, words in {
        "missing": "the weights of nowhere are not on this machine",
        "pickled": "diffusion_pytorch_model.bin is a pickle",
        "code": "it has a component of spy, which is no part of diffusers",
        "list": "describes no pipeline that can be loaded without running code of its own",
        "words": "describes no pipeline",
        "torn": "torn cannot be loaded",
        "partial": "vae: No such file or directory",
        "single": "one.safetensors is a single file",
        "steps": "params: steps is a whole number from 1 to 1000",
        "strength": "StableDiffusionPipeline does not take strength",
        "misfit": "the scheduler flow_euler does not fit this model",
    }.items():
        assert words in found[id]["message"], found[id]
    assert not (studio.root / "spied").exists()
    assert (pickled / "unet/diffusion_pytorch_model.bin").exists()


def test_a_device_that_is_not_there_is_named(studio: ProjectFolder) -> None:
    if "+cpu" not in version("torch"):
        pytest.skip("this torch may have a device")
    studio.edit("device: cpu", "device: cuda")
    [failed] = failures(studio.json("build", code=1)).values()
    assert (failed["kind"], "no cuda device" in failed["message"]) == ("invalid", True)


def test_without_the_extra_one_line_names_it(studio: ProjectFolder) -> None:
    studio.json("build")
    hidden = studio.write("hidden/sitecustomize.py", "import sys\nsys.modules['diffusers'] = None\n").parent
    assert studio.run("build", PYTHONPATH=str(hidden)).code == 0
    studio.edit("a fox", "a vixen")
    assert studio.run("plan", PYTHONPATH=str(hidden)).code == 0
    run = studio.run("build", PYTHONPATH=str(hidden))
    assert run.code == 2
    assert 'provider "local" needs a package that is not installed' in run.err
    assert "pip install 'imgbuild[diffusers]'" in run.err

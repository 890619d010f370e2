"""Pictures of local pipelines: what decides them, and that the same request gives the same bytes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest
import pyvips
from diffusers_projects import add, failures, models, opened, sources, takes
from project_folder import ProjectFolder

# Whichever comes first waits for the libraries to be imported, and for pipelines to be made.
pytestmark = pytest.mark.timeout(600)

# What is drawn


def test_takes_differ_and_are_the_same_bytes_in_another_process_with_an_empty_cache(
    studio: ProjectFolder,
) -> None:
    studio.edit("size: 64x64", "size: 64x64, takes: 3")
    add(studio, owl="prompt: an owl, size: 70x100")
    assert studio.json("build").counts() == {"generated": 2}
    first = studio.lock, takes(studio, "fox")
    assert len({*takes(studio, "fox"), *sources(studio).values()}) == 4
    owl = studio.lock["images"]["owl"]
    assert (owl["source"]["width"], owl["source"]["height"]) == (72, 104)
    assert [owl["outputs"]["out/owl.png"][side] for side in ("width", "height")] == [70, 100]
    shutil.rmtree(studio.environ["IMGBUILD_CACHE_DIR"])
    shutil.rmtree(studio.root / "out")
    (studio.root / "imgbuild.lock").unlink()
    assert studio.json("build").counts() == {"generated": 2}
    assert (studio.lock, takes(studio, "fox")) == first


def test_drawn_together_pictures_are_what_they_are_alone_but_for_the_last_bits(studio: ProjectFolder) -> None:
    add(studio, **{f"fox{number}": f"prompt: fox {number}, size: 64x64" for number in range(3)})
    studio.json("build")
    keys = {id: image["key"] for id, image in studio.lock["images"].items()}
    alone = {id: pyvips.Image.new_from_buffer(studio.read(f"out/{id}.png"), "") for id in keys}
    shutil.rmtree(studio.environ["IMGBUILD_CACHE_DIR"])
    shutil.rmtree(studio.root / "out")
    (studio.root / "imgbuild.lock").unlink()
    studio.edit("device: cpu", "device: cpu, batch: 4")
    assert studio.json("build").counts() == {"generated": 4}
    assert {id: image["key"] for id, image in studio.lock["images"].items()} == keys
    for id, picture in alone.items():
        # Sums in another order: at most a level or two of 255.
        together = pyvips.Image.new_from_buffer(studio.read(f"out/{id}.png"), "")
        assert (picture - together).abs().max() <= 2


def test_whatever_is_chosen_decides_the_picture_and_is_in_the_key(studio: ProjectFolder) -> None:
    at = "type: diffusers, options: {device: cpu, folder: ../models"
    studio.edit(
        "images:\n",
        """images:
  plain: {provider: local, seed: 5, prompt: a fox, size: 64x64, output: out/plain.png}
  steps: {extends: same, params: {steps: 3}, output: out/steps.png}
  guidance: {extends: same, params: {steps: 2, guidance: 2}, output: out/guidance.png}
  scheduler: {extends: same, params: {steps: 2, scheduler: euler}, output: out/scheduler.png}
  negative: {extends: same, negative_prompt: a cat, output: out/negative.png}
  model: {extends: same, model: other, output: out/model.png}
  lora: {extends: same, provider: with_lora, output: out/lora.png}
  weak_lora: {extends: same, provider: with_weak_lora, output: out/weak_lora.png}
  own_scheduler: {extends: same, provider: with_scheduler, output: out/own_scheduler.png}
  half: {extends: same, provider: with_dtype, output: out/half.png}
""",
    )
    studio.edit(
        "defaults:",
        f"""  with_lora: {{{at}, loras: [lora/pytorch_lora_weights.safetensors]}}}}
  with_weak_lora: {{{at}, loras: {{path: lora/pytorch_lora_weights.safetensors, weight: 0.3}}}}}}
  with_scheduler: {{{at}, scheduler: euler}}}}
  with_dtype: {{{at}, dtype: bfloat16}}}}
presets: {{same: {{seed: 5, prompt: a fox, size: 64x64}}}}
defaults:""",
    )
    assert studio.json("build").counts() == {"generated": 11}
    keys = {image["key"] for image in studio.lock["images"].values()}
    assert len(keys) == 11
    pictures = sources(studio)
    # A scheduler is the same one wherever it was said.
    assert pictures.pop("own_scheduler") == pictures["scheduler"]
    assert len(set(pictures.values())) == 10


def test_references_and_masks_decide_and_a_mask_is_white_or_transparent(studio: ProjectFolder) -> None:
    left = pyvips.Image.black(32, 64, bands=3).linear(1, [200, 30, 30])
    picture = left.join(left.invert(), "horizontal").cast("uchar").copy(interpretation="srgb")
    half = pyvips.Image.black(32, 64).join(pyvips.Image.black(32, 64) + 255, "horizontal").cast("uchar")
    picture.write_to_file(str(studio.root / "ref.png"))
    half.write_to_file(str(studio.root / "white.png"))
    picture.bandjoin(half.invert()).write_to_file(str(studio.root / "clear.png"))
    own = "prompt: a fox, seed: 3, params: {steps: 4, strength: 0.75}, references: [ref.png]"
    add(
        studio,
        over=own,
        into=f"{own}, mask: white.png",
        through=f"{own}, mask: clear.png",
        next='prompt: a fox, references: ["@over"], size: 96x64, params: {steps: 4, strength: 0.75}',
    )
    assert studio.json("build").counts() == {"generated": 5}
    found = sources(studio)
    assert found["into"] == found["through"], "white and transparent mean the same"
    assert len(set(found.values())) == 4
    source = studio.lock["images"]["next"]["source"]
    assert (source["width"], source["height"]) == (96, 64)
    studio.edit(
        "seed: 3, params: {steps: 4, strength: 0.75}, references: [ref.png], mask: clear.png",
        "mask: clear.png",
    )
    assert "masks the first reference, and there is none" in studio.run("check").err


def test_a_seed_counts_up_with_the_takes_and_is_told(studio: ProjectFolder) -> None:
    studio.edit("size: 64x64", "size: 64x64, seed: 7, takes: 2")
    add(studio, next="prompt: a fox, size: 64x64, seed: 8")
    studio.json("build")
    assert takes(studio, "fox")[1] == sources(studio)["next"]
    usage = studio.json("show", "fox").events[-1]["value"]["usage"]
    assert (usage["seed"], usage["device"], usage["dtype"]) == (7, "cpu", "float32")
    assert {"torch", "diffusers", "transformers"} < set(usage)


# The weights


def test_other_weights_are_another_model_and_what_is_untouched_is_not_read_again(
    studio: ProjectFolder,
) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    studio.json("build")
    assert opened(studio, name) == 1
    before = studio.lock["images"]["fox"]["model"]
    studio.edit("a fox", "a vixen")
    studio.json("plan")
    studio.json("plan")
    assert opened(studio, name) == 1
    studio.edit("a vixen", "a fox")
    assert studio.json("build").counts() == {"unchanged": 1}

    kept = models(studio) / "tiny" / name
    mine = kept.read_bytes()
    kept.write_bytes((models(studio) / "other" / name).read_bytes())
    [action] = studio.json("plan").actions().values()
    [reason] = action["reasons"]
    assert (action["action"], reason["field"], reason["old"]) == ("generate", "model", before)
    assert studio.run("build", "--locked").code == 3
    assert studio.json("build").counts() == {"generated": 1}
    assert studio.lock["images"]["fox"]["model"] != before

    kept.write_bytes(mine)
    assert studio.json("build").counts() == {"restored": 1}
    # A new date alone says nothing.
    kept.touch()
    assert studio.json("build").counts() == {"unchanged": 1}
    assert studio.lock["images"]["fox"]["model"] == before


def test_who_does_not_have_the_model_keeps_what_was_accepted(studio: ProjectFolder) -> None:
    studio.json("build")
    accepted = studio.lock
    models(studio).rename(models(studio).with_name("elsewhere"))
    shutil.rmtree(studio.environ["IMGBUILD_CACHE_DIR"])
    assert studio.json("build", "--locked").counts() == {"unchanged": 1}
    assert studio.json("build").counts() == {"unchanged": 1}
    assert studio.lock == accepted
    studio.edit("a fox", "a vixen")
    locked = studio.run("build", "--locked")
    assert (locked.code, "fox: " in locked.err) == (3, True)
    failed = failures(studio.json("build", code=1))["fox"]
    assert failed["kind"] == "invalid"
    assert "the weights of tiny are not on this machine" in failed["message"]
    assert studio.lock == accepted


def test_an_id_is_looked_for_in_the_hubs_cache_and_nothing_is_downloaded(studio: ProjectFolder) -> None:
    add(studio, hare="prompt: a hare, size: 64x64, model: someone/tiny")
    run = studio.run("build", "hare")
    assert (run.code, "hf download someone/tiny" in run.err + run.out) == (1, True)
    kept = studio.zygote.hub / "models--someone--tiny"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text("0123abcd")
    shutil.copytree(models(studio) / "tiny", kept / "snapshots/0123abcd")
    assert studio.json("build").counts() == {"generated": 2}
    fox, hare = (studio.lock["images"][name]["model"] for name in ("fox", "hare"))
    assert (fox.partition("@")[0], hare.partition("@")[0]) == ("tiny", "someone/tiny")
    assert fox.partition("@")[2] == hare.partition("@")[2]
    shutil.rmtree(kept)


# What stops


def test_a_model_is_loaded_once_for_all_images(studio: ProjectFolder) -> None:
    studio.json("build")
    before = opened(studio, "unet/config.json")
    add(studio, **{f"fox{number}": f"prompt: fox {number}, size: 64x64" for number in range(10)})
    assert studio.json("build").counts() == {"generated": 10, "unchanged": 1}
    # Its digest is remembered: it is opened by what loads it, and by nobody else.
    assert opened(studio, "unet/config.json") == before + 1


def test_interrupted_it_ends_with_the_step_that_is_going_on(studio: ProjectFolder) -> None:
    pyvips.Image.black(1024, 1024, bands=3).write_to_file(str(studio.root / "ref.png"))
    studio.edit("steps: 2", "steps: 1000, strength: 1")
    studio.edit("size: 64x64", "references: [ref.png]")
    build = studio.zygote.start(studio, "build")
    # It is hashed, looked at, and then read by what draws.
    while opened(studio, f"{studio.root.name}/ref.png") < 3:
        assert build.running, build.err
        time.sleep(0.01)
    build.kill(signal.SIGINT)
    # The whole picture would take longer than a command may.
    assert build.wait().code == 130
    assert not (studio.root / "out").exists()


# What is not needed is not imported

LOOK = """\
import sys
from imgbuild.__main__ import main
sys.argv[1:] = {words}
code = main()
print([name for name in sys.modules if name.partition(".")[0] in ("torch", "diffusers", "transformers")])
sys.exit(code)
"""


def test_looking_imports_no_pipeline_library(studio: ProjectFolder) -> None:
    studio.json("build")
    for words in (["--version"], ["check"], ["plan"], ["build"], ["build", "--locked"], ["explain", "fox"]):
        done = subprocess.run(
            [sys.executable, "-c", LOOK.format(words=words)],
            cwd=studio.root,
            env=studio.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), (words, done)

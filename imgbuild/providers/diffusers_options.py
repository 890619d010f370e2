"""What a manifest says of local pipelines: a provider's options and an image's parameters. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from imgbuild.core.image import Json
from imgbuild.core.suggest import did_you_mean

RECIPE = 1
"""Of what is told the pipelines: part of every key. It does not grow with their versions."""

Offload = Literal["none", "model", "sequential"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
T = TypeVar("T")

SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Json]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
"""The class of diffusers behind each name, and what it is told besides the model's own settings."""

_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d{1,2})?")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}", re.ASCII)
_VARIANT = re.compile(r"\w{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lora:
    """A file of low-rank weights that is laid over a model."""

    path: str
    """A `.safetensors` file, relative to the options' folder."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """The `options` of a provider of type `diffusers`."""

    folder: str = ""
    """Where models and LoRAs lie, relative to the manifest's folder; `~` is the user's home."""
    device: str = "auto"
    dtype: Dtype = "auto"
    scheduler: str | None = None
    loras: tuple[Lora, ...] = ()
    revision: str = "main"
    """Of models from the hub's cache: a branch, a tag or a commit."""
    variant: str | None = None
    """Which of several sets of weights, such as fp16."""
    offload: Offload = "none"
    tiling: bool = False
    """Decode large pictures piece by piece."""
    memory: float | None = None
    """GiB of weights that stay loaded; None: one model."""
    batch: int = 1
    """Pictures of one shape that are drawn at once."""

    @property
    def engine(self) -> str:
        """Part of every key: what was chosen here and decides the picture. What is not chosen is not in it.

        The weights of the model and of LoRAs are in the model's name, by their digest. Neither the device nor
        versions of libraries are in the key: an upgrade, or another machine, is no wish for another picture.
        """
        chosen: dict[str, Json] = {
            "dtype": self.dtype if self.dtype != "auto" else None,
            "loras": [lora.weight for lora in self.loras] or None,
            "scheduler": self.scheduler,
        }
        told = {name: value for name, value in chosen.items() if value is not None}
        return f"diffusers/{RECIPE}" + (f" {json.dumps(told, sort_keys=True)}" if told else "")


def read_options(options: Json) -> Options:
    """The options of a provider's entry. Raises ValueError for one that is unknown or means nothing."""
    given = options if isinstance(options, dict) else {}
    for name in given:
        if name not in _OPTIONS:
            near = did_you_mean(name, _OPTIONS)
            known = f"known: {', '.join(_OPTIONS)}"
            raise ValueError(f'options: type diffusers has no option "{name}"; {near or known}')
    read = {name: _read(f"options: {name}", _OPTIONS[name], value) for name, value in given.items()}
    return Options(**cast("dict[str, Json]", read))  # type: ignore[arg-type]


def read_params(params: Mapping[str, Json]) -> dict[str, Json]:
    """An image's parameters, checked. Raises ValueError for one that means nothing.

    Their names are those of `PARAMS`: others were refused when the manifest was read.
    """
    return {name: _read(f"params: {name}", PARAMS[name][1], value) for name, value in sorted(params.items())}


def _read(where: str, read: Callable[[Json], T], value: Json) -> T:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[Json], Json]:
    def read(value: Json) -> Json:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"is {what}")
        return value

    return read


def _one_of(*words: str) -> Callable[[Json], Json]:
    def read(value: Json) -> Json:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)}")
        return value

    return read


def _number(least: float, most: float, *, above: bool = False) -> Callable[[Json], Json]:
    """`above`: the least itself is too little."""

    def read(value: Json) -> Json:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is a number from {least:g} to {most:g}")
        if above and value == least:
            raise ValueError(f"is a number above {least:g}")
        # 7 and 7.0 are one guidance.
        return float(value)

    return read


def _whole(least: int, most: int) -> Callable[[Json], Json]:
    def read(value: Json) -> Json:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is a whole number from {least} to {most}")
        return value

    return read


def _text(value: Json) -> Json:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is a text")
    return value


def _yes_or_no(value: Json) -> Json:
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _loras(value: Json) -> tuple[Lora, ...]:
    return tuple(_each_lora(value if isinstance(value, list) else [value]))


def _each_lora(entries: list[Json]) -> Iterator[Lora]:
    for entry in entries:
        members = entry if isinstance(entry, dict) else {"path": entry}
        path, weight = members.get("path"), members.get("weight", 1.0)
        if (
            not isinstance(path, str)
            or not path.endswith(".safetensors")
            or set(members) - {"path", "weight"}
        ):
            raise ValueError("is a list of .safetensors files, or of {path: FILE.safetensors, weight: 0.8}")
        yield Lora(path, cast(float, _read("weight", _number(-10, 10), weight)))


_OPTIONS: Mapping[str, Callable[[Json], object]] = {
    "folder": _text,
    "device": _matching(_DEVICE, "auto, cpu, mps, cuda, cuda:1 or xpu"),
    "dtype": _one_of("auto", "float32", "float16", "bfloat16"),
    "scheduler": _one_of(*SCHEDULERS),
    "loras": _loras,
    "revision": _matching(_REVISION, "a branch, a tag or a commit"),
    "variant": _matching(_VARIANT, "a word in the files' names, such as fp16"),
    "offload": _one_of("none", "model", "sequential"),
    "tiling": _yes_or_no,
    "memory": _number(0, 4096),
    "batch": _whole(1, 64),
}

PARAMS: Mapping[str, tuple[str | None, Callable[[Json], Json]]] = {
    "steps": ("num_inference_steps", _whole(1, 1000)),
    "guidance": ("guidance_scale", _number(0, 100)),
    "guidance_rescale": ("guidance_rescale", _number(0, 1)),
    "true_guidance": ("true_cfg_scale", _number(0, 100)),
    "image_guidance": ("image_guidance_scale", _number(0, 100)),
    "strength": ("strength", _number(0, 1, above=True)),
    "eta": ("eta", _number(0, 1)),
    "clip_skip": ("clip_skip", _whole(0, 12)),
    "max_sequence_length": ("max_sequence_length", _whole(1, 4096)),
    "scheduler": (None, _one_of(*SCHEDULERS)),
}
"""What an image may say under `params`: what the pipeline calls it, and how it is read."""

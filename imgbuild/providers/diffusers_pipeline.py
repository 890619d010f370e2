"""A pipeline of diffusers: loaded from files of this machine only, and told what to draw.

Loading runs no code of the model's own and opens no pickle. Everything here is called on a device's thread;
importing torch takes seconds.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from imgbuild.core.errors import FailureKind, ImgbuildError, ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.providers.diffusers_device import Abandoned
from imgbuild.providers.diffusers_options import PARAMS, SCHEDULERS, Lora, Options
from imgbuild.providers.diffusers_pictures import Picture, read_mask, read_picture
from imgbuild.providers.diffusers_weights import read_components

_LIBRARIES = frozenset({"diffusers", "transformers"})
_BLOCK = 8
"""Pixels: what every pipeline's edges are multiples of."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One picture to draw."""

    prompt: str
    negative_prompt: str | None
    seed: int
    size: Size | None
    params: Mapping[str, Json]
    reference: Path | None = None
    mask: Path | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """What pictures of one batch have in common."""
        return (
            self.size,
            tuple(self.params.items()),
            self.negative_prompt is None,
            # Without a size a picture has that of its reference.
            None if self.reference is None else (self.size or self.reference),
            self.mask is None,
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, and on what it was drawn."""

    picture: Picture
    device: str
    dtype: str


class DiffusersPipeline:
    """One model in memory, with its LoRAs; every kind of picture is drawn with the same weights."""

    def __init__(self, folder: Path, loras: Sequence[tuple[Path, Lora]], options: Options) -> None:
        """Load it. Raises ProviderFailure."""
        with _quietly(), _explained(f"{folder.name} cannot be loaded", FailureKind.INVALID):
            _make_room()
            self._options = options
            self._device = choose_device(options.device)
            self._dtype = _dtype_of(options.dtype, self._device)
            self._pipe = _load(folder, loras, self._dtype, options.variant)
            self.bytes = _bytes_of(self._pipe)
            self._scheduler = type(self._pipe.scheduler), self._pipe.scheduler.config
            self._auto: Any = None

    def draw(self, wishes: Sequence[Wish], is_wanted: Callable[[], bool]) -> Sequence[Drawn | Exception]:
        """Draw wishes of one shape together, each from a seed of its own. Raises as `Pipeline` has it."""
        with _quietly(), _explained("the pipeline", FailureKind.FAILED):
            return self._draw(wishes, is_wanted)

    def _draw(self, wishes: Sequence[Wish], is_wanted: Callable[[], bool]) -> Sequence[Drawn | Exception]:
        import torch

        first = wishes[0]
        pipe = self._pipe_for(first)
        known = signature(pipe.__call__).parameters
        pipe.scheduler = self._fresh_scheduler(first.params.get("scheduler") or self._options.scheduler)
        call: dict[str, Any] = {
            "prompt": [wish.prompt for wish in wishes],
            # Noise from the processor is the same for every device.
            "generator": [torch.Generator("cpu").manual_seed(wish.seed) for wish in wishes],
            **_told(first.params, known, type(pipe).__name__),
        }
        if first.negative_prompt is not None:
            _require("negative_prompt", known, type(pipe).__name__)
            call["negative_prompt"] = [wish.negative_prompt or "" for wish in wishes]
        call |= self._pictures(wishes, pipe, known)
        if "callback_on_step_end" in known:
            call["callback_on_step_end"] = _stopping(is_wanted)
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            result = pipe(**call)
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(wishes)
        return [
            _refused() if flagged else Drawn(picture, self._device, str(self._dtype).removeprefix("torch."))
            for picture, flagged in zip(result.images, flags, strict=True)
        ]

    def _pipe_for(self, wish: Wish) -> Any:
        """The pipeline for text, for a reference, or for a reference and a mask; all share their weights."""
        from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image

        auto: Any = AutoPipelineForText2Image
        if wish.reference is not None:
            auto = AutoPipelineForInpainting if wish.mask is not None else AutoPipelineForImage2Image
        if auto is not self._auto:
            self._pipe = auto.from_pipe(self._pipe)
            self._pipe.set_progress_bar_config(disable=True)
            _place(self._pipe, self._device, self._options)
            self._auto = auto
        return self._pipe

    def _fresh_scheduler(self, name: object) -> Any:
        """A scheduler without a memory of the picture before."""
        import diffusers

        kind, config = self._scheduler
        changes: Mapping[str, Json] = {}
        if isinstance(name, str):
            class_name, changes = SCHEDULERS[name]
            fitting = {one.__name__ for one in self._pipe.scheduler.compatibles}
            if fitting and class_name not in fitting:
                names = [known for known, (of_class, _) in SCHEDULERS.items() if of_class in fitting]
                raise ProviderFailure(
                    FailureKind.INVALID,
                    f"the scheduler {name} does not fit this model",
                    remedy=f"use one of {', '.join(names)}, or leave it out" if names else "leave it out",
                )
            kind = getattr(diffusers, class_name)
        return kind.from_config(config, **changes)

    def _pictures(self, wishes: Sequence[Wish], pipe: Any, known: Mapping[str, object]) -> dict[str, Any]:
        """The members of the call that say the size: pixels, references or masks."""
        block = _block_of(pipe)
        first = wishes[0]
        size = None if first.size is None else _rounded_up(first.size, block)
        if first.reference is None:
            return {} if size is None else {"width": size.width, "height": size.height}
        references = [read_picture(wish.reference, size, block) for wish in wishes if wish.reference]
        own = Size(*references[0].size)
        call: dict[str, Any] = {"image": references}
        if first.mask is not None:
            call["mask_image"] = [read_mask(wish.mask, own) for wish in wishes if wish.mask]
        return call | {
            name: edge for name, edge in (("width", own.width), ("height", own.height)) if name in known
        }


def choose_device(name: str) -> str:
    """The device that `auto` means on this machine; any other name as it is. Raises ProviderFailure."""
    import torch

    kind = name.partition(":")[0]
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
    }
    if name == "auto":
        return next((device for device, is_there in there.items() if is_there), "cpu")
    if not there.get(kind, True):
        raise ProviderFailure(
            FailureKind.INVALID,
            f"this machine has no {kind} device that torch {torch.__version__} can use",
            remedy="let options.device be auto, or install the torch that is made for it",
        )
    return name


def _dtype_of(name: str, device: str) -> Any:
    import torch

    if name != "auto":
        return getattr(torch, name)
    if device == "cpu":
        return torch.float32
    # Half precision overflows in some decoders, and gives black pictures then.
    has_brain = device.startswith("cuda") and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_brain else torch.float16


def _load(folder: Path, loras: Sequence[tuple[Path, Lora]], dtype: Any, variant: str | None) -> Any:
    from diffusers import DiffusionPipeline, pipelines

    for library, _ in read_components(folder).values():
        # Importing a module runs it: none is imported because a model names it.
        if library not in _LIBRARIES and not hasattr(pipelines, library):
            raise ValueError(f"it has a component of {library}, which is no part of diffusers")
    kind: Any = DiffusionPipeline
    pipe = kind.from_pretrained(
        str(folder), dtype=dtype, variant=variant, use_safetensors=True, local_files_only=True
    )
    names = [f"lora_{number}" for number, _ in enumerate(loras)]
    for name, (path, _) in zip(names, loras, strict=True):
        pipe.load_lora_weights(
            str(path.parent),
            weight_name=path.name,
            adapter_name=name,
            use_safetensors=True,
            local_files_only=True,
        )
    if names:
        pipe.set_adapters(names, [lora.weight for _, lora in loras])
    return pipe


def _place(pipe: Any, device: str, options: Options) -> None:
    """Bring a pipeline to its device. What moves its parts to and fro belongs to one pipeline at a time."""
    if options.tiling:
        pipe.vae.enable_tiling()
        pipe.vae.enable_slicing()
    if device == "cpu" or options.offload == "none":
        pipe.to(device)
    elif options.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.enable_sequential_cpu_offload(device=device)


def _bytes_of(pipe: Any) -> int:
    models = (part for part in pipe.components.values() if hasattr(part, "parameters"))
    return sum(weights.numel() * weights.element_size() for model in models for weights in model.parameters())


def _make_room() -> None:
    """Give back what a pipeline that was let go has left behind."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _block_of(pipe: Any) -> int:
    """What a pipeline's edges must be multiples of: where it wants more than that, it would cut."""
    scale = getattr(pipe, "vae_scale_factor", _BLOCK)
    patch = getattr(pipe, "patch_size", 1)
    pixels = scale * (patch if isinstance(patch, int) else 1)
    processor = getattr(getattr(pipe, "image_processor", None), "config", None)
    return max(_BLOCK, pixels, getattr(processor, "vae_scale_factor", 1))


def _rounded_up(size: Size, block: int) -> Size:
    return Size(-(-size.width // block) * block, -(-size.height // block) * block)


def _told(params: Mapping[str, Json], known: Mapping[str, object], pipeline: str) -> dict[str, Json]:
    """An image's parameters as the pipeline calls them. Raises ProviderFailure."""
    told: dict[str, Json] = {}
    for name, value in params.items():
        theirs = PARAMS[name][0]
        if theirs is not None:
            _require(theirs, known, pipeline, name)
            told[theirs] = value
    return told


def _require(theirs: str, known: Mapping[str, object], pipeline: str, name: str | None = None) -> None:
    if theirs not in known:
        raise ProviderFailure(
            FailureKind.INVALID,
            f"{pipeline} does not take {name or theirs}",
            remedy="leave it out, or use a model that takes it",
        )


def _stopping(is_wanted: Callable[[], bool]) -> Callable[..., dict[str, Any]]:
    def after_step(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if not is_wanted():
            raise Abandoned
        return tensors

    return after_step


def _refused() -> ProviderFailure:
    return ProviderFailure(
        FailureKind.REFUSED,
        "the model's safety checker has blacked the picture out",
        remedy="change the prompt or the references",
    )


@contextmanager
def _explained(what: str, kind: FailureKind) -> Iterator[None]:
    """Turn whatever the libraries raise into one line, with what to do where memory is short.

    What they say of values is about the request, whatever else they were doing.
    """
    try:
        yield
    except (Abandoned, ImgbuildError):
        raise
    except Exception as error:
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        short = isinstance(error, MemoryError) or "out of memory" in words.lower()
        if short:
            kind = FailureKind.FAILED
        elif isinstance(error, ValueError | TypeError):
            kind = FailureKind.INVALID
        raise ProviderFailure(
            kind,
            f"{what}: {words[:500]}",
            remedy="set options.offload or tiling, a smaller batch, or a smaller size" if short else None,
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the libraries' own talk off the terminal: what goes wrong comes as an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging as of_diffusers
        from transformers.utils import logging as of_transformers

        for each in (of_diffusers, of_transformers):
            each.set_verbosity_error()
            each.disable_progress_bar()
        yield

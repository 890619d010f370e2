"""Which files are a local model: found on disk, named for its digest, and nothing of them executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.providers.base import ModelFiles
from imgbuild.providers.diffusers_options import Options

INDEX = "model_index.json"
"""What makes a folder a pipeline: its class, and the library and class of each component."""
_INDEX_BYTES = 2**20
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_WEIGHTLESS = re.compile(r"Tokenizer|Scheduler|Extractor|Processor|Guider")
_SETTINGS = frozenset({".json", ".jinja", ".model", ".txt"})
_PICKLED = frozenset({".bin", ".ckpt", ".msgpack", ".pkl", ".pt", ".pth"})


def find_weights(model: str, options: Options, root: Path) -> ModelFiles:
    """The settings and weights that a pipeline and its LoRAs are loaded from, by their names in the digest.

    `root` is the manifest's folder. Where something is missing, or could only be had by executing what it
    says (a pickle, code), `problem` says so and what to do.
    """
    base = root / Path(options.folder).expanduser()
    folder, places = _folder_of(model, options, base)
    try:
        components = read_components(folder)
        files = dict(_files(folder, components, options.variant))
        files |= _loras(options, base)
    except ProviderFailure as problem:
        return ModelFiles(folder, {}, places, problem)
    except OSError as error:
        words = f"{model}: {error.filename or folder}: {error.strerror}"
        if folder.is_file():
            words = f"{model} is a single file, without the pipeline's settings"
        elif not folder.is_dir():
            words = f"the weights of {model} are not on this machine"
        return ModelFiles(folder, {}, places, _invalid(words, _how_to_get(model, options, folder)))
    return ModelFiles(folder, files, (*places, *(folder / name for name in components)))


def read_components(folder: Path) -> Mapping[str, tuple[str, str]]:
    """The components of a pipeline, each with its library and class.

    Raises:
        ProviderFailure: it says something that no pipeline without code of its own can say.
        OSError: it cannot be read.
    """
    with (folder / INDEX).open("rb") as file:
        data = file.read(_INDEX_BYTES + 1)
    try:
        index: Json = json.loads(data) if len(data) <= _INDEX_BYTES else None
    except ValueError:
        index = None
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise _invalid(
            f"{folder / INDEX} describes no pipeline that can be loaded without running code of its own",
            "use a pipeline that diffusers itself has",
        )
    found: dict[str, tuple[str, str]] = {}
    for name, value in index.items():
        if isinstance(value, list) and len(value) == 2 and not name.startswith("_"):
            library, kind = value
            if isinstance(library, str) and isinstance(kind, str) and re.fullmatch(r"\w+", name):
                found[name] = (library, kind)
    return found


def _folder_of(model: str, options: Options, base: Path) -> tuple[Path, tuple[Path, ...]]:
    """Where a model lies or would lie, and what decided that."""
    folder = base / model
    if folder.exists() or not _HUB_ID.fullmatch(model):
        return folder, (folder,)
    try:
        # The one module of the package that is cheap: where its cache is depends on several variables.
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return folder, (folder,)
    kept = Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    snapshot, named = kept / "snapshots" / options.revision, kept / "refs" / options.revision
    if not snapshot.is_dir() and named.is_file():
        snapshot = kept / "snapshots" / named.read_text(encoding="ascii", errors="replace").strip()
    return snapshot, (folder, named, snapshot)


def _how_to_get(model: str, options: Options, folder: Path) -> str:
    if folder.is_file():
        return "load it with diffusers once, and save it as a folder with save_pretrained"
    here = f"put the pipeline's folder at {folder}"
    if not _HUB_ID.fullmatch(model):
        return here
    revision = "" if options.revision == "main" else f" --revision {options.revision}"
    return f"hf download {model}{revision}"


def _files(
    folder: Path, components: Mapping[str, tuple[str, str]], variant: str | None
) -> Iterator[tuple[str, Path]]:
    yield INDEX, folder / INDEX
    varied = False
    for name, (_, kind) in components.items():
        inside = sorted(path for path in (folder / name).iterdir() if path.is_file())
        weights = [path for path in inside if path.suffix == ".safetensors"]
        chosen = [path for path in weights if _variant_of(path) == variant]
        varied = varied or bool(chosen)
        chosen = chosen or [path for path in weights if _variant_of(path) is None]
        if not chosen and not _WEIGHTLESS.search(kind):
            raise _no_weights(folder / name, inside, variant)
        settings = [path for path in inside if path.suffix in _SETTINGS and ".index." not in path.name]
        for path in (*settings, *chosen):
            yield f"{name}/{path.name}", path
    if variant is not None and not varied:
        raise _invalid(f"{folder} has no weights of the variant {variant}", "leave options.variant out")


def _no_weights(folder: Path, inside: list[Path], variant: str | None) -> ProviderFailure:
    pickled = next((path for path in inside if path.suffix in _PICKLED), None)
    if pickled is not None:
        return _invalid(
            f"{pickled} is a pickle, which can run any program when it is loaded, and is never loaded",
            "get the model with .safetensors weights, or convert it: save_pretrained(..., "
            "safe_serialization=True)",
        )
    others = sorted({_variant_of(path) or "" for path in inside if path.suffix == ".safetensors"})
    if others:
        return _invalid(
            f"{folder} has no weights of its own, only of variants: {', '.join(others)}",
            f"say options: {{variant: {others[0]}}}"
            + (f" in place of {variant}" if variant is not None else ""),
        )
    return _invalid(f"{folder} has no .safetensors weights", "get the whole model again")


def _variant_of(path: Path) -> str | None:
    """`fp16` of `model.fp16.safetensors` and of `model.fp16-00001-of-00002.safetensors`."""
    _, dot, rest = path.stem.partition(".")
    return rest.partition("-")[0] if dot else None


def _loras(options: Options, base: Path) -> dict[str, Path]:
    found = {f"lora {number}": base / lora.path for number, lora in enumerate(options.loras)}
    for path in found.values():
        if not path.is_file():
            raise _invalid(f"the LoRA {path} is not on this machine", "put it there")
    return found


def _invalid(message: str, remedy: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.INVALID, message, remedy=remedy)

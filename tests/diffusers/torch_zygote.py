"""A zygote that has also imported what takes seconds to import: torch and diffusers. A program, too.

Commands that it runs write down which files they open, if the environment names a file for that.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import zygote
from zygote import Zygote

OPENED = "OPENED_FILES"
"""Set for a command: where it writes the names of files of models, and of pictures, that Python opens in it."""
_NOTED = (".safetensors", "config.json", ".png")


class TorchZygote(Zygote):
    """The process, and the commands that it runs."""

    def __init__(self, folder: Path) -> None:
        self.hub = folder / "hub"
        super().__init__(
            folder,
            __file__,
            # It is read when the package is imported.
            HF_HUB_CACHE=str(self.hub),
            # Threads that wait for each other on a busy machine take most of the time.
            OMP_NUM_THREADS="1",
        )


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str) and OPENED in os.environ:
        path = Path(arguments[0])
        if path.name.endswith(_NOTED):
            log = os.open(os.environ[OPENED], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(log, f"{path.parent.name}/{path.name}\n".encode())
            os.close(log)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging

        logging.set_verbosity_error()
        import peft  # noqa: F401
        import transformers
        from diffusers import (  # noqa: F401
            AutoPipelineForText2Image,
            DDIMScheduler,
            EulerDiscreteScheduler,
            StableDiffusionImg2ImgPipeline,
            StableDiffusionInpaintPipeline,
        )

        transformers.utils.logging.set_verbosity_error()
        for name in ("CLIPTextModel", "CLIPTokenizer"):
            getattr(transformers, name)
    sys.addaudithook(_note)
    zygote._serve()

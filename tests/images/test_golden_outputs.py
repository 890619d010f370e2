"""Bytes that were made once are made again, for as long as the encoder is the same one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_outputs import CASES, FILE, MACHINE, describe, master

from imgbuild.images.encode import encoder

GOLDEN = json.loads(FILE.read_text())
_ALIKE = 12
"""Levels of 255 by which the mean of a sixteenth of the picture may differ between two encoders."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return master(tmp_path_factory.mktemp("golden"))


def test_every_case_is_pinned() -> None:
    assert set(GOLDEN["outputs"]) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_output_is_what_it_was(drawn: Path, tmp_path: Path, name: str) -> None:
    """Byte for byte with the encoder that is pinned, and alike with any other."""
    pinned = GOLDEN["outputs"][name]
    made = describe(drawn, CASES[name], tmp_path / "out")
    assert made["size"] == pinned["size"]
    if (encoder(CASES[name].format), MACHINE) == (pinned["encoder"], GOLDEN["machine"]):
        assert made["digest"] == pinned["digest"]
    looks = zip(bytes.fromhex(str(made["look"])), bytes.fromhex(pinned["look"]), strict=True)
    assert max(abs(one - other) for one, other in looks) <= _ALIKE

"""A claim whose answer is lost on the way is asked for once more: its maker is not left to pay alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imgbuild.run.claims import Claims
from imgbuild.run.shared import Shared
from imgbuild.run.shared_settings import SharedSettings
from imgbuild.run.shared_uploads import Uploads
from imgbuild.store.cache import open_cache
from imgbuild.store.remote.base import RemoteError
from imgbuild.store.remote.memory import MemoryRemote

KEY = "ab" * 32


class Lossy(MemoryRemote):
    """Loses the first so many answers to a creation. `stores`: what was asked for is done all the same."""

    def __init__(self, losses: int, *, stores: bool) -> None:
        super().__init__()
        self.losses = losses
        self.stores = stores

    def create_record(self, scope: str, name: str, data: bytes) -> bool:
        if self.losses == 0:
            return super().create_record(scope, name, data)
        self.losses -= 1
        if self.stores:
            super().create_record(scope, name, data)
        raise RemoteError("no answer came in time")


def claims(folder: Path, remote: MemoryRemote) -> tuple[Claims, Shared]:
    settings = SharedSettings(
        "s3://b/x", "main", writes=True, required=False, timeout=0.2, claim_time=60, auth=None, secret=None, variables={}
    )  # fmt: skip
    shared = Shared(remote, open_cache(folder), settings)
    return Claims(shared, remote, Uploads(shared)), shared


@pytest.mark.parametrize("stores", [True, False])
def test_a_claim_whose_answer_was_lost_is_had_all_the_same(tmp_path: Path, stores: bool):
    async def both() -> None:
        remote = Lossy(1, stores=stores)
        (ours, shared), (theirs, _) = claims(tmp_path / "a", remote), claims(tmp_path / "b", remote)
        assert await ours.take(KEY, (1,), "hero", "p") is None
        assert shared.usable
        assert shared.warnings() == ()
        assert await theirs.take(KEY, (1,), "hero", "p") is not None
        ours.leave(KEY)
        await ours.finish()
        assert remote.records == {}

    asyncio.run(both())


def test_after_two_losses_it_is_not_asked_any_more(tmp_path: Path):
    async def alone() -> None:
        ours, shared = claims(tmp_path / "a", Lossy(2, stores=False))
        assert await ours.take(KEY, (1,), "hero", "p") is None
        assert not shared.usable
        assert len(shared.warnings()) == 1

    asyncio.run(alone())

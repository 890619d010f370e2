"""A session goes by other numbers as soon as they are saved, and never has more in flight than they allow."""

from __future__ import annotations

import asyncio

from project_folder import STUDIO
from watch_session import until

from imgbuild.run.limits import Limiter


def test_more_places_are_given_at_once_and_fewer_as_they_become_free():
    async def main() -> list[int]:
        limiter = Limiter(1, None)
        inside: list[int] = []
        leave = [asyncio.Event() for _ in range(4)]

        async def one(number: int) -> None:
            async with limiter.place():
                inside.append(number)
                await leave[number].wait()
                inside.remove(number)

        async def counted(event: asyncio.Event | None = None) -> int:
            if event:
                event.set()
            for _ in range(20):
                await asyncio.sleep(0)
            return len(inside)

        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(one(number))
            counts = [await counted()]
            limiter.adjust(3, None)
            counts.append(await counted())
            limiter.adjust(1, None)
            counts.append(await counted(leave[0]))
            counts.append(await counted(leave[1]))
            counts.append(await counted(leave[2]))
            leave[3].set()
        return counts

    assert asyncio.run(main()) == [1, 3, 2, 1, 1]


def test_a_saved_concurrency_holds_for_what_is_queued(project, start_emulator, watch):
    emulator = start_emulator(latency=600)
    images = "images:\n" + "".join(
        f"  i{n}: {{prompt: thing {n}, size: 64x64, output: out/{n}.png}}\n" for n in range(3)
    )
    one = STUDIO.format(url=emulator.url).replace(
        "poll_interval: 50ms", "poll_interval: 50ms\n    concurrency: 1"
    )
    project.manifest(one + images)
    watch(project)
    until(lambda: len(emulator.ledger()["charges"]) == 1)
    project.manifest((one + images).replace("concurrency: 1", "concurrency: 3"))
    # None of them is ever done: one after the other, the second would not be sent.
    until(lambda: len(emulator.ledger()["charges"]) == 3)

"""Whose turn it is: never too many at a time, the highest rank first, and nobody is forgotten."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import FailureKind
from imgbuild.run.limits import Limiter, Turns


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_turns_are_bounded_and_everybody_who_waits_has_one(most: int, guests: list[tuple[int, bool]]) -> None:
    async def main() -> None:
        turns = Turns(most)
        inside = 0
        served = []

        async def guest(number: int, rank: int) -> None:
            nonlocal inside
            async with turns.turn(rank):
                inside += 1
                try:
                    assert inside <= most
                    await asyncio.sleep(0)
                finally:
                    inside -= 1
            served.append(number)

        tasks = [asyncio.ensure_future(guest(n, rank)) for n, (rank, _) in enumerate(guests)]
        await asyncio.sleep(0)
        for task, (_, leaves) in zip(tasks, guests, strict=True):
            if leaves:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert {n for n, (_, leaves) in enumerate(guests) if not leaves} <= set(served)
        async with asyncio.timeout(10):
            await asyncio.gather(*(turns.take() for _ in range(most)))

    asyncio.run(main())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_the_highest_rank_goes_first_and_equals_in_the_order_of_their_coming(ranks: list[int]) -> None:
    async def main() -> list[int]:
        turns = Turns(1)
        order: list[int] = []

        async def guest(number: int, rank: int) -> None:
            async with turns.turn(rank):
                order.append(number)

        await turns.take()
        tasks = [asyncio.ensure_future(guest(n, rank)) for n, rank in enumerate(ranks)]
        await asyncio.sleep(0)
        turns.leave()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(main()) == sorted(range(len(ranks)), key=lambda n: (-ranks[n], n))


def test_a_refused_submission_lets_others_go_first_but_no_newcomers_in() -> None:
    async def main() -> list[str]:
        limiter = Limiter(2, None)
        said: list[str] = []
        both, refused, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def first() -> None:
            async with limiter.place():
                await both.wait()
                limiter.learn(FailureKind.RATE_LIMITED)
                async with limiter.aside():
                    said.append("first is aside")
                    refused.set()
                    await done.wait()
                said.append("first again")

        async def second() -> None:
            async with limiter.place():
                both.set()
                await refused.wait()
                said.append("second goes on")
                done.set()
                await asyncio.sleep(0)
            said.append("second is done")

        async def newcomer() -> None:
            await refused.wait()
            async with limiter.place():
                said.append("newcomer")

        await asyncio.gather(first(), second(), newcomer())
        return said

    assert asyncio.run(main()) == [
        "first is aside", "second goes on", "second is done", "first again", "newcomer",
    ]  # fmt: skip

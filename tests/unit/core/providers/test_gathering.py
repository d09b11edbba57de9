"""What is asked for while a call is under way goes together into the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from core.providers.gathering import Gathering


class Doubling:
    """Doubles numbers when it is let; remembers each call. Negative numbers break it."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.let = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(numbers))
        await self.let.wait()
        if min(numbers) < 0:
            raise ValueError("negative")
        return [2 * number for number in numbers]


async def asked(gathering: Gathering[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    """The numbers, asked for one after the other."""
    tasks = [asyncio.create_task(gathering.ask(number)) for number in numbers]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_who_comes_first_goes_alone_and_the_rest_together_in_bounds() -> None:
    double = Doubling()
    gathering = Gathering(double, most=3)
    first = await asked(gathering, 1)
    rest = await asked(gathering, 2, 3, 4, 5)
    double.let.set()
    assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8, 10]
    assert double.calls == [[1], [2, 3, 4], [5]]


async def test_an_error_reaches_everybody_of_its_call_and_nobody_else() -> None:
    double = Doubling()
    gathering = Gathering(double, most=2)
    tasks = await asked(gathering, 1, -2, 3, 4)
    double.let.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError, int, int]
    assert await gathering.ask(5) == 10


async def test_whoever_gave_up_is_left_out_and_disturbs_nobody() -> None:
    double = Doubling()
    gathering = Gathering(double, most=4)
    under_way, waiting, other = (
        await asked(gathering, 1),
        await asked(gathering, 2),
        await asked(gathering, 3),
    )
    for task in (*under_way, *waiting):
        task.cancel()
    await asyncio.sleep(0)
    double.let.set()
    assert await asyncio.gather(*other) == [6]
    assert double.calls == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]

"""Postgres goes away: its connections, the whole server again and again, the whole server for a while."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import aiohttp
from sqlalchemy import text

from tests.chaos.crowd import Crowd
from tests.chaos.kills import PATIENCE_SECONDS, finish
from tests.chaos.outcome import Outcome, percentile
from tests.chaos.world import Replica, World

END_ALL = text(
    "select count(pg_terminate_backend(pid)) as ended from pg_stat_activity "
    "where application_name like 'threadlore%' and pid <> pg_backend_pid()"
)


END_WAKEUPS = text(
    "select count(pg_terminate_backend(pid)) as ended from pg_stat_activity "
    "where application_name = 'threadlore-wakeups'"
)
LONGEST_PICKUP_SECONDS = 5.0


async def silence_wakeups(world: World, seed: int, *, questions: int = 40) -> Outcome:
    """D10: the connections by which processes tell each other of work are ended before and after each question;
    one process hears, and another has to find by itself what there is to do."""
    world.deliver_over("http")
    crowd, ended, waits = Crowd(world), 0, list[float]()
    for number in range(questions):
        place = crowd.new_place("discord" if number % 2 else "slack")
        ended += (await world.database.run(END_WAKEUPS))[0].ended
        await crowd.ask(place)
        ended += (await world.database.run(END_WAKEUPS))[0].ended
        waits.append(await crowd.until_answered(PATIENCE_SECONDS))
    late = max(waits)
    outcome = Outcome(
        scenario="D10",
        seed=seed,
        faults={"connections ended": ended},
        figures={"answered at the latest after, s": round(late, 2)},
        problems=[f"picked up after {late:.1f} s"] if late > LONGEST_PICKUP_SECONDS else [],
    )
    return await finish(world, crowd, outcome, time.monotonic())


async def end_connections(
    world: World, seed: int, *, questions: int = 100, thinking_seconds: float = 20.0
) -> Outcome:
    """D1: every connection of ours is ended, again and again, while the model thinks about all questions."""
    chance = random.Random(seed)
    world.model.delay_seconds = thinking_seconds
    crowd = Crowd(world)
    for _ in range(questions // 2):
        await crowd.ask(crowd.new_place("slack"))
        await crowd.ask(crowd.new_place("discord"))
    ended, until = 0, time.monotonic() + thinking_seconds
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(0.2, 1.5))
        ended += (await world.database.run(END_ALL))[0].ended
    outcome = await finish(
        world,
        crowd,
        Outcome(scenario="D1", seed=seed, faults={"connections ended": ended}),
        time.monotonic(),
    )
    noticed = [f"{outcome.noticed} people got a notice instead of their answer"] if outcome.noticed else []
    return outcome.model_copy(update={"problems": [*outcome.problems, *noticed]})


async def stop_again_and_again(
    world: World,
    seed: int,
    *,
    questions: int = 2000,
    seconds: float = 600.0,
    up_seconds: tuple[float, float] = (5.0, 40.0),
) -> Outcome:
    """D2: Postgres is stopped for up to 2 s at random, cleanly or by a crash, while questions arrive."""
    chance = random.Random(seed)
    world.deliver_over(chance.choice(("http", "socket")))
    world.model.delay_seconds = 0.3
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, seconds, per_thread=5))
    stops = crashes = 0
    while not asking.done():
        await asyncio.wait({asking}, timeout=chance.uniform(*up_seconds))
        if chance.random() < 0.5:
            crashes += 1
            await world.postgres.stop("immediate")
        else:
            stops += 1
            await world.postgres.stop("fast")
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        await world.postgres.start()
    await asking
    faults = {"Postgres stopped": stops, "Postgres crashed": crashes}
    return await finish(world, crowd, Outcome(scenario="D2", seed=seed, faults=faults), time.monotonic())


async def stop_for_long(world: World, seed: int, *, down_seconds: float = 60.0) -> Outcome:
    """D3: while Postgres is away events are refused at once, readiness is red and liveness green."""
    world.deliver_over("http")
    crowd = Crowd(world)
    pids = [replica.serving.process.pid for replica in world.replicas]
    await world.postgres.stop()
    # Told over HTTP now, and again later: what is refused must not be forgotten.
    asked = [await crowd.ask(crowd.new_place("slack")) for _ in range(10)]
    await crowd.ask(crowd.new_place("discord"))
    problems: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0)) as session:
        looks = 0
        until = time.monotonic() + down_seconds
        while time.monotonic() < until:
            await asyncio.sleep(1.0)
            looks += 1
            for replica in world.ingresses():
                problems += await _look(session, replica, {"/healthz": 200, "/readyz": 503})
        await world.postgres.start()
        back = time.monotonic()
        ready = await _until(lambda: _all_ready(session, world))
    answers = [seconds for q in asked for d in q.deliveries for seconds in d.seconds]
    refused = sum(status != 200 for q in asked for d in q.deliveries for status in d.statuses)
    early = sum(d.acked_at is not None and d.acked_at < back for q in asked for d in q.deliveries)
    if early:
        problems.append(f"{early} events were acknowledged while there was no database")
    if pids != [replica.serving.process.pid for replica in world.replicas]:
        problems.append("a replica was restarted")
    outcome = Outcome(
        scenario="D3",
        seed=seed,
        faults={"seconds without Postgres": round(down_seconds), "events refused": refused},
        figures={
            "refusal p99, s": round(percentile(answers, 0.99), 3) if answers else 0.0,
            "ready again, s": round(ready, 2),
        },
        problems=list(dict.fromkeys(problems)),
    )
    return await finish(world, crowd, outcome, back)


async def _look(session: aiohttp.ClientSession, replica: Replica, wanted: dict[str, int]) -> list[str]:
    """What a replica's probes say that they should not."""
    problems = []
    for path, status in wanted.items():
        said = await _status(session, replica, path)
        if said != status:
            problems.append(f"{path} said {said}, not {status}")
    return problems


async def _status(session: aiohttp.ClientSession, replica: Replica, path: str) -> int:
    address = replica.address
    if not isinstance(address, tuple):
        return 0
    try:
        async with session.get(f"http://{address[0]}:{address[1]}{path}") as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


async def _all_ready(session: aiohttp.ClientSession, world: World) -> bool:
    return all([await _status(session, replica, "/readyz") == 200 for replica in world.ingresses()])


async def _until(look: Callable[[], Awaitable[bool]]) -> float:
    """Seconds until it holds, or until patience ends."""
    began = time.monotonic()
    while not await look() and time.monotonic() - began < PATIENCE_SECONDS:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)
    return time.monotonic() - began

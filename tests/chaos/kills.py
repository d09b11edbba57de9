"""Replicas die, sleep or are asked to leave while people ask on both platforms."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from sqlalchemy import text

from tests.acceptance.installation import eventually
from tests.chaos.crowd import Crowd
from tests.chaos.outcome import Outcome
from tests.chaos.world import LEASE_SECONDS, World
from tests.crash.platforms import Discord, Platform, Slack

PATIENCE_SECONDS = 90.0
LONGEST_EXIT_SECONDS = 25.0
OPEN_ITEMS = text("select count(*) from inbox where state in ('queued', 'running')")
PARKED_ITEMS = text("select count(*) from inbox where state = 'parked'")
WAIT_TO_STORE = text(
    "select pid from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%insert into inbox%'"
)
END = text("select pg_terminate_backend(:pid)")


async def until_idle(world: World) -> None:
    """Nothing is queued or under way any more."""

    async def look() -> bool:
        (row,) = await world.database.run(OPEN_ITEMS)
        return not row[0]

    await eventually(look, PATIENCE_SECONDS)


async def finish(world: World, crowd: Crowd, outcome: Outcome, since: float | None = None) -> Outcome:
    """Wait for what is to come, count at the platform, and add it. `since`: when the last fault ended."""
    await crowd.until_answered(PATIENCE_SECONDS)
    recovered = time.monotonic()
    problems = list(outcome.problems)
    try:
        await until_idle(world)
    except AssertionError:
        problems.append("the inbox did not come to rest")
    (row,) = await world.database.run(PARKED_ITEMS)
    if row[0]:
        problems.append(f"{row[0]} items are parked")
    recovery = [] if since is None else [round(recovered - since, 2)]
    return crowd.count().into(
        outcome.model_copy(
            update={"recovery_seconds": [*outcome.recovery_seconds, *recovery], "problems": problems}
        )
    )


async def kill_at_random(
    world: World, seed: int, *, questions: int = 50, kills_by_chance: Sequence[int] = (1, 1, 1, 2)
) -> Outcome:
    """C2: SIGKILL of any replica at any moment, while questions arrive in threads on both platforms."""
    chance = random.Random(seed)
    world.deliver_over(chance.choice(("http", "socket")))
    world.model.delay_seconds = chance.uniform(0.0, 0.2)
    world.model.pace_seconds = chance.choice((0.0, 0.03, 0.1))
    crowd, seconds = Crowd(world), questions / 25
    asking = asyncio.create_task(crowd.ask_all_over(questions, seconds))
    kills = chance.choice(kills_by_chance)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.0, seconds * 0.8))
        victim = chance.choice([replica for replica in world.replicas if replica.is_running])
        await victim.kill()
        victim.start_again()
    since = time.monotonic()
    await asking
    outcome = await finish(world, crowd, Outcome(scenario="C2", seed=seed, faults={"SIGKILL": kills}), since)
    await world.all_ready()
    return outcome


async def kill_before_commit(world: World, seed: int, *, questions: int = 10) -> Outcome:
    """C1: SIGKILL of every ingress between the request and the commit; Slack, not told, tells again."""
    world.deliver_over("http")
    crowd = Crowd(world)
    began = len(world.slack.deliverer.deliveries)
    ingresses = world.ingresses()
    async with world.database.transaction() as connection:
        await connection.execute(text("lock table inbox in exclusive mode"))
        for _ in range(questions):
            await crowd.ask(crowd.new_place("slack"))
        waiting = await eventually(lambda: world.database.run(WAIT_TO_STORE))
        await asyncio.sleep(random.Random(seed).uniform(0.0, 0.3))
        for replica in ingresses:
            await replica.kill()
        # Postgres would carry the statements out all the same: nobody has told it that they are in vain.
        for row in {*waiting, *await world.database.run(WAIT_TO_STORE)}:
            await world.database.run(END, {"pid": row.pid})
    deliveries = world.slack.deliverer.deliveries[began:]
    early = sum(delivery.acked for delivery in deliveries)
    for replica in ingresses:
        replica.start_again()
    since = time.monotonic()
    await world.all_ready()
    outcome = Outcome(
        scenario="C1",
        seed=seed,
        faults={"SIGKILL": len(ingresses), "requests cut before their commit": len(deliveries)},
        problems=[f"{early} were acknowledged before their commit"] if early else [],
    )
    return await finish(world, crowd, outcome, since)


async def kill_after_post(world: World, seed: int, *, questions: int = 25) -> Outcome:
    """C3: SIGKILL of all replicas when the platform has taken each answer and nobody knows that yet."""
    platforms: list[Platform] = [Slack(world.slack), Discord(world.discord)]
    if seed % 2:  # the whole answer is posted at once; otherwise its beginning
        for platform in platforms:
            platform.refuse_streams()
    else:
        world.model.pace_seconds = 0.2
    told = [platform.keep_back_posts() for platform in platforms]
    crowd = Crowd(world)
    for _ in range(questions):
        await crowd.ask(crowd.new_place("slack"))
        await crowd.ask(crowd.new_place("discord"))
    shown = await _until_all_visible(crowd)
    for replica in world.replicas:
        await replica.kill()
    since = time.monotonic()
    world.calm()
    for held in told:
        held.set()
    for replica in world.replicas:
        replica.start_again()
    await world.all_ready()
    outcome = Outcome(
        scenario="C3",
        seed=seed,
        faults={"SIGKILL": len(world.replicas), "posts taken and not noted": shown},
    )
    return await finish(world, crowd, outcome, since)


async def _until_all_visible(crowd: Crowd) -> int:
    """Wait until something stands under every question; how many stand there."""

    async def look() -> int:
        return 0 if crowd.count_hidden() else crowd.count().asked

    return await eventually(look, PATIENCE_SECONDS)


async def pause_beyond_lease(world: World, seed: int, *, questions: int = 30) -> Outcome:
    """C5: a replica sleeps for two leases with work in its hands; what it says afterwards is refused."""
    chance = random.Random(seed)
    world.model.delay_seconds = 0.5
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, 2.0))
    await asyncio.sleep(chance.uniform(0.3, 1.5))
    victim = chance.choice(world.replicas)
    victim.pause()
    since = time.monotonic()
    await asking
    await asyncio.sleep(max(0.0, since + 2 * LEASE_SECONDS - time.monotonic()))
    victim.go_on()
    outcome = await finish(world, crowd, Outcome(scenario="C5", seed=seed, faults={"SIGSTOP": 1}), since)
    await asyncio.sleep(LEASE_SECONDS)  # whatever the sleeper still has to say
    refused = len(victim.serving.logged("lease_lost"))
    recounted = crowd.count()
    return outcome.model_copy(
        update={"doubled": recounted.doubled, "figures": {"late writes refused": refused}}
    )


async def stop_under_load(world: World, seed: int, *, questions: int = 40) -> Outcome:
    """C7: SIGTERM to one replica after the other while questions arrive, as a deployment does."""
    chance = random.Random(seed)
    world.model.delay_seconds = chance.uniform(0.3, 1.5)
    world.deliver_over(chance.choice(("http", "socket")))
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, questions / 8))
    await asyncio.sleep(chance.uniform(0.2, 1.0))
    slowest, problems = 0.0, []
    for replica in world.replicas:
        try:
            slowest = max(slowest, await replica.stop())
        except AssertionError as error:
            problems.append(f"replica {replica.name} did not end well: {str(error)[:200]}")
        replica.start_again()
        await replica.ready()
    if slowest > LONGEST_EXIT_SECONDS:
        problems.append(f"a replica took {slowest:.1f} s to end")
    since = time.monotonic()
    await asking
    outcome = Outcome(
        scenario="C7",
        seed=seed,
        faults={"SIGTERM": len(world.replicas)},
        figures={"slowest exit, s": round(slowest, 2)},
        problems=problems,
    )
    outcome = await finish(world, crowd, outcome, since)
    await world.all_ready()
    return outcome


async def kill_regularly(
    world: World, seed: int, *, questions: int = 600, every_seconds: float = 15.0, kills: int = 10
) -> Outcome:
    """C8: a quarter of the replicas is killed again and again; the backlog drains without help."""
    chance = random.Random(seed)
    world.model.delay_seconds = 1.0
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, every_seconds * kills))
    share = max(1, len(world.replicas) // 4)
    for _ in range(kills):
        await asyncio.sleep(every_seconds)
        for victim in chance.sample([replica for replica in world.replicas if replica.is_running], share):
            await victim.kill()
            victim.start_again()
        world.forget_dead_sessions()
    since = time.monotonic()
    await asking
    faults = {"SIGKILL": kills * share}
    outcome = await finish(world, crowd, Outcome(scenario="C8", seed=seed, faults=faults), since)
    await world.all_ready()
    return outcome

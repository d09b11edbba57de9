"""Answers of platforms that do not arrive, connections that are cut, events that are told many times."""

from __future__ import annotations

import asyncio
import random
import time

from bot.testing.discord.faults import Fault as DiscordFault
from bot.testing.slack import Fault as SlackFault
from tests.chaos.crowd import Crowd
from tests.chaos.kills import finish
from tests.chaos.outcome import Outcome
from tests.chaos.world import World
from tests.crash.platforms import POST, Slack


async def lose_slack_answers(world: World, seed: int, *, questions: int = 50) -> Outcome:
    """N5: Slack takes a post, and the connection is reset before it can say so."""
    faults = world.slack.faults
    methods = ["chat.startStream", "chat.postMessage"]
    if seed % 2:
        Slack(world.slack).refuse_streams()
        methods = ["chat.postMessage"]
    else:
        world.model.pace_seconds = 0.2
    for method in methods:
        faults.order(method, SlackFault(reset="after", times=questions))
    crowd = Crowd(world)
    for _ in range(questions):
        await crowd.ask(crowd.new_place("slack"))
    lost_answers = {"posts taken, answer lost": questions}
    return await finish(
        world, crowd, Outcome(scenario="N5", seed=seed, faults=lost_answers), time.monotonic()
    )


async def lose_discord_answers(world: World, seed: int, *, questions: int = 50) -> Outcome:
    """N6: Discord creates a message, and a reset or a 502 is all that comes back."""
    world.model.pace_seconds = 0.2 if seed % 2 else 0.0
    fault = DiscordFault(POST, status=502 if seed // 2 % 2 else None, accepted=True, times=questions)
    world.discord.fail(fault)
    crowd = Crowd(world)
    for _ in range(questions):
        await crowd.ask(crowd.new_place("discord"))
    lost_answers = {"posts taken, answer lost": questions}
    return await finish(
        world, crowd, Outcome(scenario="N6", seed=seed, faults=lost_answers), time.monotonic()
    )


async def cut_database_links(
    world: World, seed: int, *, questions: int = 60, seconds: float = 6.0
) -> Outcome:
    """Every link to Postgres is reset at random moments: statements may have been carried out, or not."""
    chance = random.Random(seed)
    world.model.delay_seconds = 0.2
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, seconds))
    cuts = 0
    while not asking.done():
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        if chance.random() < 0.3:
            world.database_proxy.answers_lost += 1  # carried out, and nobody is told
            cuts += 1
        else:
            cuts += world.database_proxy.cut()
    await asking
    world.database_proxy.answers_lost = 0
    outcome = Outcome(scenario="cuts", seed=seed, faults={"links to Postgres cut": cuts})
    return await finish(world, crowd, outcome, time.monotonic())


async def stall_database_links(
    world: World, seed: int, *, questions: int = 40, stall_seconds: float = 4.0
) -> Outcome:
    """Every link to Postgres goes silent without an end, for longer than a lease, and then works again."""
    world.model.delay_seconds = 0.5
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, 2.0))
    await asyncio.sleep(random.Random(seed).uniform(0.2, 1.8))
    world.database_proxy.mode = "stall"
    await asyncio.sleep(stall_seconds)
    world.database_proxy.mode = "pass"
    await asking
    outcome = Outcome(scenario="stalls", seed=seed, faults={"stalls of all links to Postgres": 1})
    return await finish(world, crowd, outcome, time.monotonic())


async def refresh_sockets(world: World, seed: int, *, questions: int = 100, seconds: float = 10.0) -> Outcome:
    """N2: Slack asks for new sockets in the middle of a burst, and closes the old ones."""
    chance = random.Random(seed)
    links = world.slack.deliverer.links
    # A process asks for six sockets a minute at most: those of an earlier run may have to come back first.
    await world.slack.until(lambda: len(links.open) >= len(world.ingresses()), 120.0)
    crowd = Crowd(world)
    asking = asyncio.create_task(crowd.ask_all_over(questions, seconds))
    refreshes = 0
    while not asking.done():
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        refreshes += len(links.open)
        await links.ask_to_reconnect(
            chance.choice(("refresh_requested", "warning")), close_after_seconds=chance.uniform(0.2, 1.0)
        )
    await asking
    outcome = Outcome(scenario="N2", seed=seed, faults={"sockets refreshed": refreshes})
    return await finish(world, crowd, outcome, time.monotonic())


async def tell_many_times(world: World, seed: int, *, questions: int = 100) -> Outcome:
    """S2: every event comes four times over HTTP and once over a socket, to all replicas at the same time."""
    crowd = Crowd(world)
    deliverer = world.slack.deliverer
    copies = 0
    for _ in range(questions):
        world.deliver_over("http")
        asked = await crowd.ask(crowd.new_place("slack"))
        for delivery in asked.deliveries:
            for _ in range(3):
                world.slack.redeliver(delivery)
        await asyncio.sleep(0)  # each delivery looks up its way when it begins
        world.deliver_over("socket")
        for delivery in asked.deliveries:
            world.slack.redeliver(delivery)
        await asyncio.sleep(0.02)
        copies += 4 * len(asked.deliveries)
    await world.slack.until(lambda: all(d.is_done for d in deliverer.deliveries[-5 * questions :]), 60.0)
    outcome = Outcome(scenario="S2", seed=seed, faults={"copies of events": copies})
    return await finish(world, crowd, outcome, time.monotonic())


async def go_half_open(world: World, seed: int, *, questions: int = 20) -> Outcome:
    """N1: nothing arrives over any socket any more, and no socket ends: silence alone has to tell."""
    world.deliver_over("socket")
    links = world.slack.deliverer.links
    await world.slack.until(lambda: len(links.open) >= len(world.ingresses()), 120.0)
    greeted, number = links.greeted, len(links.open)
    links.go_half_open()
    since = time.monotonic()
    crowd = Crowd(world)
    for _ in range(questions):
        await crowd.ask(crowd.new_place("slack"))
    await world.slack.until(lambda: links.greeted >= greeted + number, 120.0)
    noticed = round(time.monotonic() - since, 1)
    outcome = Outcome(
        scenario="N1",
        seed=seed,
        faults={"sockets gone half-open": number},
        figures={"replaced after, s": noticed},
        problems=[f"deaf for {noticed} s"] if noticed > 75 else [],
    )
    return await finish(world, crowd, outcome, since)

"""More processes than a platform has room for: sockets of Slack, sessions of Discord, documents beside events."""

from __future__ import annotations

import asyncio
import time

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.crowd import Crowd
from tests.chaos.kills import finish
from tests.chaos.outcome import Outcome, percentile
from tests.chaos.world import Replica, World

OPENS_A_MINUTE = 6
SESSIONS_AN_HOUR = 10
SECONDS_TO_BEGIN = 4.0
SENTENCE = "Whoever travels keeps the receipts, and hands them in within a month. "
BACK_WITHIN_SECONDS = 60.0
ASKED_EVERY_SECONDS = 1.0


async def want_too_many_sockets(
    world: World, seed: int, *, replicas: int = 12, seats: int = 10, seconds: float = 90.0
) -> Outcome:
    """N3: more replicas than Slack gives sockets to; then one that has a socket is killed."""
    links = world.slack.deliverer.links
    world.deliver_over("socket")
    room, links.most_open, links.most_at_once = links.most_open, seats, 0
    extra = [world.add_replica("ingress") for _ in range(replicas - len(world.ingresses()))]
    try:
        for replica in extra:
            await replica.ready()
        began, opened = time.monotonic(), len(world.slack.calls_of("apps.connections.open"))
        crowd = Crowd(world)
        await crowd.ask_all_over(round(seconds / ASKED_EVERY_SECONDS), seconds)
        minutes = (time.monotonic() - began) / 60
        opens = len(world.slack.calls_of("apps.connections.open")) - opened
        problems = []
        if links.most_at_once > seats:
            problems.append(f"{links.most_at_once} sockets were open")
        waiting = replicas - seats
        if opens > waiting * OPENS_A_MINUTE * (minutes + 1):
            problems.append(f"{opens} sockets were asked for in {minutes:.1f} minutes by {waiting} replicas")
        back, since = await _free_a_seat(world, extra, seats)
        if back > BACK_WITHIN_SECONDS:
            problems.append(f"the free socket was taken after {back:.0f} s")
        figures = {"sockets asked for by each that waits, a minute": round(opens / waiting / minutes, 2)}
        outcome = Outcome(
            scenario="N3",
            seed=seed,
            faults={"replicas without a socket": waiting, "SIGKILL": 1},
            figures={**figures, "free socket taken after, s": round(back, 1)},
            problems=problems,
        )
        return await finish(world, crowd, outcome, since)
    finally:
        links.most_open = room
        for replica in extra:
            if replica in world.replicas:
                await world.remove_replica(replica)


async def _free_a_seat(world: World, extra: list[Replica], seats: int) -> tuple[float, float]:
    """Kill one of the extra replicas that Slack is heard by; seconds until all seats are taken again, and when
    it was killed."""
    links = world.slack.deliverer.links
    heard = [replica for replica in extra if await hears(replica, "slack")]
    victim = heard[0]
    greeted = links.greeted
    world.replicas.remove(victim)
    since = time.monotonic()
    await victim.kill()
    await world.slack.until(
        lambda: links.greeted > greeted and len(links.open) == seats, BACK_WITHIN_SECONDS * 3
    )
    return time.monotonic() - since, since


def url_of(replica: Replica) -> str:
    """Where its HTTP listens."""
    return replica.serving.address


async def hears(replica: Replica, platform: str) -> bool:
    """What the replica's own readiness says about a platform."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30.0)) as session,
        session.get(f"{url_of(replica)}/readyz") as response,
    ):
        checks = (await response.json())["checks"]
    return any(check["name"] == platform and check["ok"] for check in checks)


async def restart_again_and_again(world: World, seed: int, *, starts: int = 14) -> Outcome:
    """S7: an ingress of Discord that crashes right after each start: sessions stay within what all processes
    together may begin, and readiness says why nothing is heard."""
    gateway = world.discord.gateway
    crowd = Crowd(world)
    replica = world.replicas[0]
    begun = gateway.identifies
    for _ in range(starts):
        await replica.kill()
        world.forget_dead_sessions()
        replica.start_again()
        await replica.ready()
        await asyncio.sleep(SECONDS_TO_BEGIN)
    identifies = gateway.identifies - begun
    problems = []
    if gateway.identifies > SESSIONS_AN_HOUR:
        problems.append(f"{gateway.identifies} sessions were begun in this hour")
    if await hears(replica, "discord"):
        problems.append("readiness says that Discord is heard")
    for _ in range(5):
        await crowd.ask(crowd.new_place("slack"))
    outcome = Outcome(
        scenario="S7",
        seed=seed,
        faults={"SIGKILL": starts},
        figures={"sessions begun": float(identifies)},
        problems=problems,
    )
    return await finish(world, crowd, outcome, time.monotonic())


async def be_away(world: World, seed: int, *, questions: int = 30, away_seconds: float = 600.0) -> Outcome:
    """N4: every replica is stopped, people go on asking, and the platforms give up telling us. Afterwards
    everything is found in the histories, and answered once."""
    world.deliver_over("http")
    crowd = Crowd(world)
    await crowd.ask(crowd.new_place("slack"))  # who was never heard of has no position to read on from
    await crowd.ask(crowd.new_place("discord"))
    await crowd.until_answered(60.0)
    for replica in world.replicas:
        await replica.stop()
    world.forget_dead_sessions()
    await crowd.ask_all_over(questions, away_seconds)
    for replica in world.replicas:
        replica.start_again()
    since = time.monotonic()
    await world.all_ready()
    outcome = Outcome(scenario="N4", seed=seed, faults={"seconds away": round(away_seconds)})
    return await finish(world, crowd, outcome, since)


async def read_while_serving(world: World, seed: int, *, documents: int = 500) -> Outcome:
    """L2: thousands of chunks are read, cut and embedded by a replica that hears and answers meanwhile."""
    folder = world.installation.folder / "handbook" / "many"
    folder.mkdir(exist_ok=True)
    for number in range(documents):
        sections = (f"## Part {number}.{part}\n\n{SENTENCE * 30}\n" for part in range(4))
        (folder / f"{seed}-{number}.md").write_text(f"# Document {number}\n\n{''.join(sections)}")
    replica = world.replicas[0]
    crowd, waits = Crowd(world), list[float]()
    before = await _lags(replica)
    timeout = aiohttp.ClientTimeout(total=30.0)
    async with aiohttp.ClientSession(url_of(replica), timeout=timeout) as session:
        async with session.get("/v1/sources") as response:
            sources = await response.json()
        known = sum(source["documents"] for source in sources)
        begun = time.monotonic()
        for source in sources:
            async with session.post(f"/v1/sources/{source['id']}/sync", json={}) as response:
                assert response.status < 300, await response.text()
        asking = asyncio.create_task(crowd.ask_all_over(20, 10.0))
        while not asking.done() or await _count_documents(session) < known + documents:
            for _ in range(20):
                asked = time.monotonic()
                async with session.get("/healthz") as response:
                    await response.read()
                waits.append(time.monotonic() - asked)
                await asyncio.sleep(0.02)
        await asking
        seconds = time.monotonic() - begun
    looks = {bound: count - before[bound] for bound, count in (await _lags(replica)).items()}
    in_time, tolerably = (looks[bound] / looks["+Inf"] for bound in ("0.05", "1.0"))
    outcome = Outcome(
        scenario="L2",
        seed=seed,
        faults={"documents read": documents},
        figures={
            "looks at the event loop": looks["+Inf"],
            "late by more than 50 ms, %": round(100 * (1 - in_time), 2),
            "late by more than 1 s, %": round(100 * (1 - tolerably), 2),
            "liveness answered p99, ms": round(1000 * percentile(waits, 0.99), 1),
            "liveness answered at the latest, ms": round(1000 * max(waits), 1),
            "documents read in, s": round(seconds, 1),
        },
        problems=[f"the event loop was late {100 * (1 - in_time):.1f} % of the time"]
        if in_time < 0.99 or tolerably < 1
        else [],
    )
    return await finish(world, crowd, outcome, begun)


async def _lags(replica: Replica) -> dict[str, float]:
    """How often the event loop was late by at most so many seconds, as the replica counts it."""
    async with aiohttp.ClientSession(url_of(replica)) as session, session.get("/metrics") as response:
        figures = text_string_to_metric_families(await response.text())
    return {
        sample.labels["le"]: sample.value
        for family in figures
        for sample in family.samples
        if sample.name == "threadlore_event_loop_lag_seconds_bucket"
    }


async def _count_documents(session: aiohttp.ClientSession) -> int:
    async with session.get("/v1/sources") as response:
        return sum(source["documents"] for source in await response.json())

"""The scenarios: what each breaks, what must hold, and how often, in `make test` and in `make chaos`."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import crowding, endings, kills, load, network, outages
from tests.chaos.crowd import Crowd
from tests.chaos.outcome import Outcome
from tests.chaos.world import ROLES, World, open_world

LONGEST_RUN_SECONDS = 1200.0

Run = Callable[..., Awaitable[Outcome]]


@dataclass(frozen=True)
class Scenario:
    """`run(world, seed, **scale)`. `brief` and `whole` are the two scales, with so many seeds each; no brief
    seeds: only `make chaos` runs it."""

    name: str
    fault: str
    must_hold: str
    run: Run
    whole: Mapping[str, Any]
    whole_seeds: int
    brief: Mapping[str, Any] = field(default_factory=dict)
    brief_seeds: int = 0
    roles: Sequence[str] = ROLES
    settings: tuple[tuple[str, str], ...] = ()


ONCE = "every question gets one whole answer, in the order of its thread"

SCENARIOS = (
    Scenario(
        "C2",
        "SIGKILL of any of 3 replicas at any moment, 50 questions on both platforms",
        ONCE,
        kills.kill_at_random,
        {"questions": 50},
        300,
        {"questions": 12, "kills_by_chance": (1,)},
        2,
    ),
    Scenario(
        "C1",
        "SIGKILL of every ingress between the request and the commit",
        "nothing was acknowledged; what Slack tells again is answered once",
        kills.kill_before_commit,
        {"questions": 60},
        5,
        {"questions": 3},
        1,
    ),
    Scenario(
        "C3",
        "SIGKILL of all replicas after the platform has taken each post and before that is noted",
        ONCE,
        kills.kill_after_post,
        {"questions": 25},
        4,
        {"questions": 3},
        1,
    ),
    Scenario(
        "C5",
        "SIGSTOP for two leases, then SIGCONT",
        "another replica takes over; what the sleeper still says is refused",
        kills.pause_beyond_lease,
        {"questions": 40},
        6,
        {"questions": 8},
        1,
    ),
    Scenario(
        "C7",
        "SIGTERM of one replica after the other under load",
        "each ends within 25 s; every question gets one whole answer",
        kills.stop_under_load,
        {"questions": 60},
        2,
    ),
    Scenario(
        "N5",
        "Slack takes a post and the connection is reset",
        "the post is found again instead of made twice",
        network.lose_slack_answers,
        {"questions": 50},
        6,
        {"questions": 5},
        2,
    ),
    Scenario(
        "N6",
        "Discord creates a message and answers with a reset or a 502",
        "the post is not made twice, and no answer is swallowed",
        network.lose_discord_answers,
        {"questions": 50},
        6,
        {"questions": 5},
        2,
    ),
    Scenario(
        "N2",
        "Slack asks for new sockets during a burst and closes the old ones",
        ONCE,
        network.refresh_sockets,
        {"questions": 250, "seconds": 20.0},
        2,
        {"questions": 10, "seconds": 2.0},
        1,
    ),
    Scenario(
        "N1",
        "Slack's sockets go half-open: nothing arrives, nothing ends",
        "they are replaced within 75 s, and what was asked meanwhile is answered",
        network.go_half_open,
        {"questions": 20},
        1,
    ),
    Scenario(
        "N3",
        "12 replicas want a Slack socket and Slack gives 10; then one that has one is killed",
        "at most 6 sockets are asked for in a minute by each that waits; a free one is taken within 60 s",
        crowding.want_too_many_sockets,
        {},
        1,
    ),
    Scenario(
        "N4",
        "every replica away for 10 minutes; Slack and Discord give up telling us",
        "what was asked meanwhile is found in the histories and answered once",
        crowding.be_away,
        {"away_seconds": 600.0},
        1,
    ),
    Scenario(
        "S7",
        "an ingress that crashes after each of 14 starts, with Discord on",
        "at most 10 gateway sessions in an hour; readiness tells; everything else goes on",
        crowding.restart_again_and_again,
        {},
        1,
        roles=("all", "worker"),
        settings=(("DISCORD_SESSIONS_PER_HOUR", "10"),),
    ),
    Scenario(
        "L2",
        "2,000 chunks are read and embedded by a replica that hears and answers",
        "its event loop is late by 50 ms at most (99 of 100), and never by 1 s",
        crowding.read_while_serving,
        {},
        1,
    ),
    Scenario(
        "S2",
        "each event told four times over HTTP and once over a socket, to all replicas at once",
        "one answer for each question",
        network.tell_many_times,
        {"questions": 100},
        5,
        {"questions": 5},
        1,
    ),
    Scenario(
        "D1",
        "every connection to Postgres ended again and again while the model thinks",
        "every turn is completed, and nobody sees an error",
        outages.end_connections,
        {"questions": 100, "thinking_seconds": 20.0},
        1,
        {"questions": 6, "thinking_seconds": 1.5},
        1,
    ),
    Scenario(
        "D10",
        "the connections that tell of work ended before and after each question; one replica hears, another works",
        "each is found by looking, and answered within 5 s",
        outages.silence_wakeups,
        {},
        1,
        roles=("ingress", "worker"),
    ),
    Scenario(
        "cuts",
        "links to Postgres reset at random, also after the statement was carried out",
        ONCE,
        network.cut_database_links,
        {"questions": 100, "seconds": 10.0},
        2,
    ),
    Scenario(
        "stalls",
        "links to Postgres silent for two leases",
        ONCE,
        network.stall_database_links,
        {"questions": 40, "stall_seconds": 6.0},
        2,
    ),
    Scenario(
        "L4",
        "many answers due in one Slack channel that takes one message a second",
        "every answer is posted once, in spite of 429",
        load.crowd_one_channel,
        {"questions": 50},
        1,
    ),
    Scenario(
        "D3",
        "Postgres away for a while",
        "events are refused and told again; readiness red, liveness green; no restart",
        outages.stop_for_long,
        {"down_seconds": 60.0},
        1,
        {"down_seconds": 3.0},
        1,
    ),
    Scenario(
        "D2",
        "Postgres stopped or crashed every 5 to 40 s, for up to 2 s",
        ONCE,
        outages.stop_again_and_again,
        {"questions": 2000, "seconds": 600.0},
        1,
        {"questions": 12, "seconds": 3.0, "up_seconds": (1.0, 2.0)},
        1,
        # A stop is long beside the other scenarios' leases, which are 10 times shorter than the default.
        settings=(("LEASE_SECONDS", "6"),),
    ),
    Scenario(
        "C8",
        "a quarter of 4 replicas killed every 12 s",
        "the backlog drains without help",
        kills.kill_regularly,
        {"questions": 600, "every_seconds": 12.0, "kills": 8},
        1,
        roles=("all", "all", "worker", "worker"),
    ),
    Scenario(
        "L1",
        "25 signed Slack events a second for 60 s, a model that takes 60 s",
        "acknowledged within 500 ms (99 of 100) and 2.5 s (all); every question is answered",
        load.flood,
        {"seconds": 60.0, "per_second": 25, "thinking_seconds": 60.0, "aims_ms": (500.0, 2500.0)},
        1,
        {"seconds": 2.0, "per_second": 15, "thinking_seconds": 2.0},
        1,
        settings=(
            ("WORKER_CONCURRENCY", "800"),
            ("TURN_TIMEOUT_SECONDS", "240"),
            ("LEASE_SECONDS", "30"),  # the default: the flood fills two cores by itself
            ("MODEL_SILENCE_SECONDS", "120"),
        ),
    ),
    Scenario(
        "O8",
        "every pair of settings, with a model that works, fails, falls silent or is cut off",
        "every question on every way ends in an answer or a notice",
        endings.try_every_pair,
        {},
        1,
        roles=(),
    ),
)


@asynccontextmanager
async def world_for(scenario: Scenario, *, brief: bool = False) -> AsyncIterator[World]:
    """A throw-away world as the scenario wants it; at the brief scale one kind serves all."""
    settings = {} if brief else dict(scenario.settings)
    with tempfile.TemporaryDirectory(prefix="threadlore-chaos-") as folder:
        async with open_world(Path(folder), scenario.roles, settings) as world:
            yield world


async def run_once(
    scenario: Scenario, world: World, seed: int, *, brief: bool, revision: str = ""
) -> Outcome:
    """One run with one seed in a world that is left calm. What goes wrong in it is a problem of its outcome."""
    world.calm()
    began = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST_RUN_SECONDS):
            outcome = await scenario.run(world, seed, **(scenario.brief if brief else scenario.whole))
            world.calm()
            await world.all_ready()
    except (AssertionError, LookupError, OSError, RuntimeError, TimeoutError) as error:
        problem = f"did not come to its end: {type(error).__name__}: {str(error)[:500]}"
        outcome = Outcome(scenario=scenario.name, seed=seed, problems=[problem])
    died = [f"replica {replica.name} ended by itself" for replica in world.replicas if replica.has_died]
    return outcome.model_copy(
        update={
            "seconds": round(time.monotonic() - began, 2),
            "revision": revision,
            "brief": brief,
            "problems": [*outcome.problems, *died],
        }
    )


def recount(outcome: Outcome, crowds: Iterable[Crowd]) -> Outcome:
    """The same outcome after some time: what came later, a second answer say, counts as well."""
    latest = Outcome(scenario=outcome.scenario, seed=outcome.seed)
    for crowd in crowds:
        latest = crowd.count().into(latest)
    counted = ("answered", "noticed", "lost", "doubled", "unfinished", "out_of_order", "untold")
    return outcome.model_copy(
        update={name: max(getattr(outcome, name), getattr(latest, name)) for name in counted}
    )

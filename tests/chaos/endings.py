"""O8: whatever the settings, and whether the model works or not, no question ends in silence."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, count, product

from core.testing.model_server import Fault
from tests.chaos.outcome import Outcome
from tests.chaos.world import World
from tests.crash.platforms import Slack

CHANNEL = "C1"
PATIENCE_SECONDS = 150.0
"""Ten questions, two at a time, each for as long as a turn may take, on a machine that does other things too."""
QUESTION = "How are hotels paid?"
LONG_QUESTION = f"{QUESTION} I ask because of a journey next week. {'It is a long one. ' * 12}"

Combination = dict[str, str]
_people = count()
FACTORS: dict[str, tuple[str, ...]] = {
    "CHAT_MODEL": ("openai:loopback", ""),
    "CHAT_MODEL_FALLBACKS": ("", "openai:second"),
    "KNOWLEDGE": ("handbook", "nothing"),
    "TURN_TIMEOUT_SECONDS": ("3", "10"),
    "MAX_QUESTION_CHARACTERS": ("100", "12000"),
    "MEMORY_TOKENS": ("100", "2000"),
    "WORKER_CONCURRENCY": ("2", "256"),
    "the model": ("works", "is down", "says nothing", "is cut off", "refuses", "is slow"),
    "streams": ("work", "are refused"),
}
MODEL_FAULTS: dict[str, Fault] = {
    "is down": Fault(kind="status", status=500),
    "says nothing": Fault(kind="black_hole"),
    "is cut off": Fault(kind="cut", after_characters=48),
    "refuses": Fault(kind="refusal"),
}


def pairs_of(combination: Mapping[str, str]) -> set[tuple[tuple[str, str], ...]]:
    return set(combinations(sorted(combination.items()), 2))


def is_sensible(combination: Mapping[str, str]) -> bool:
    """Whether `serve` starts with it: a fallback needs a model to fall back from."""
    return bool(combination["CHAT_MODEL"]) or not combination["CHAT_MODEL_FALLBACKS"]


def every_pair(factors: Mapping[str, Sequence[str]], seed: int) -> Iterator[Combination]:
    """Combinations in which every two values of two factors come together at least once."""
    everything = [dict(zip(factors, values, strict=True)) for values in product(*factors.values())]
    sensible = [combination for combination in everything if is_sensible(combination)]
    random.Random(seed).shuffle(sensible)
    wanted = set().union(*map(pairs_of, sensible))
    while wanted:
        best = max(sensible, key=lambda combination: len(pairs_of(combination) & wanted))
        wanted -= pairs_of(best)
        yield best


async def try_every_pair(world: World, seed: int, *, most: int = 100) -> Outcome:
    """Start a replica with each combination, ask in every way there is, and look for silence."""
    outcome = Outcome(scenario="O8", seed=seed)
    asked = answered = tried = 0
    problems: list[str] = []
    (world.installation.folder / "nothing").mkdir(exist_ok=True)
    for combination in every_pair(FACTORS, seed):
        if tried == most:
            break
        tried += 1
        replica = world.add_replica("all", **_settings_of(world, combination))
        await replica.ready()
        _prepare(world, combination)
        silent, number = await _ask_in_every_way(world)
        asked, answered = asked + number, answered + number - len(silent)
        problems += [f"{way} ended in silence with {combination}" for way in silent]
        world.calm()
        await world.remove_replica(replica)
    return outcome.model_copy(
        update={
            "asked": asked,
            "answered": answered,
            "lost": asked - answered,
            "faults": {"combinations of settings": tried},
            "problems": problems,
        }
    )


def _settings_of(world: World, combination: Combination) -> Combination:
    settings = {name: value for name, value in combination.items() if name.isupper()}
    return settings | {"KNOWLEDGE": str(world.installation.folder / settings["KNOWLEDGE"])}


def _prepare(world: World, combination: Combination) -> None:
    """The loopback model and platforms as the combination has them."""
    if fault := MODEL_FAULTS.get(combination["the model"]):
        world.model.break_all(fault)
    if combination["the model"] == "is slow":
        world.model.pace_seconds = 0.5
    if combination["streams"] == "are refused":
        Slack(world.slack).refuse_streams()  # Discord has none: refused there is all that has no buttons


async def _ask_in_every_way(world: World) -> tuple[list[str], int]:
    """The ways to ask that got nothing to see, and how many ways were tried."""
    slack, discord = world.slack, world.discord
    ways: dict[str, Callable[[], object]] = {}
    for name, text in (("a question", QUESTION), ("a long question", LONG_QUESTION)):
        somebody = f"p{next(_people)}"  # who has never asked before, so that nothing stands there yet
        root = await slack.mention("U1", CHANNEL, text)
        ways[f"{name} in Slack"] = partial(slack.replies, CHANNEL, root)
        root = await slack.dm(f"U{somebody}", text)
        ways[f"{name} in a direct message in Slack"] = partial(slack.replies, f"DU{somebody}", root)
        ways[f"{name} in Discord"] = partial(discord.replies_to, discord.mention(somebody, text))
        discord.dm(somebody, text)
        ways[f"{name} in a direct message in Discord"] = partial(
            discord.visible, discord.dm_channel(somebody)
        )
        discord.slash_ask(somebody, text, private=True)
        ways[f"{name} by a private command"] = partial(_private_answers, world, somebody)
    silent = dict(ways)
    until = time.monotonic() + PATIENCE_SECONDS
    while silent and time.monotonic() < until:
        silent = {way: look for way, look in silent.items() if not look()}
        await asyncio.sleep(0.05)
    return list(silent), len(ways)


def _private_answers(world: World, name: str) -> list[object]:
    return [message for message in world.discord.ephemeral_to(name) if message["content"]]

"""A channel of Discord read back as a source of knowledge: its own messages, then its public threads, those at work
and those archived. Every step is one call, the first one two, and a cursor says where the next one goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bot.adapter import ChannelFacts, ForbiddenError, HistoryPage
from bot.discord.catching_up import snowflake_of
from bot.discord.commands import EPOCH_MILLISECONDS
from bot.discord.events import Place, parse_said
from bot.discord.rest import ChannelCalls
from core.messages import Channel, Frozen, Message

PAGE = 100
TEXT, NEWS, PUBLIC_THREADS, FORUMS = 0, 5, frozenset({10, 11}), frozenset({15, 16})
SOURCES = frozenset({TEXT, NEWS}) | FORUMS
VIEW_CHANNEL, ADMINISTRATOR = 1 << 10, 1 << 3


class Step(Frozen):
    """Where a walk stands: which `places` (the channel itself, or threads) are to be read, the first of them
    `before` which message, and what comes `then`. `archived_before`: a time."""

    places: tuple[str, ...] = ()
    before: str | None = None
    then: Literal["active", "archived", "end"] = "active"
    archived_before: str | None = None


async def describe_channel(calls: ChannelCalls, channel: Channel) -> ChannelFacts:
    """Raises AdapterError; ForbiddenError for what is no channel of the server with messages or posts."""
    facts = await calls.fetch_channel(channel.id)
    if facts.get("type") not in SOURCES or str(facts.get("guild_id")) != channel.workspace:
        raise ForbiddenError("this is no channel of the server that can be a source")
    roles = await calls.fetch_roles(channel.workspace)
    address = f"https://discord.com/channels/{channel.workspace}/{{place}}/{{message}}"
    private = not _all_can_see(facts, roles, channel.workspace)
    return ChannelFacts(name=str(facts.get("name") or ""), private=private, address=address)


def _all_can_see(facts: dict[str, Any], roles: list[dict[str, Any]], guild_id: str) -> bool:
    """What a member without any role may: the role of everyone has the id of its server."""
    allowed = next((int(role["permissions"]) for role in roles if str(role["id"]) == guild_id), 0)
    if allowed & ADMINISTRATOR:
        return True
    for overwrite in facts.get("permission_overwrites") or ():
        if str(overwrite["id"]) == guild_id:
            allowed = allowed & ~int(overwrite["deny"]) | int(overwrite["allow"])
    return bool(allowed & VIEW_CHANNEL)


async def read_history(
    calls: ChannelCalls, self_id: str, channel: Channel, cursor: str | None, until: str | None
) -> HistoryPage:
    """See bot.adapter.Adapter.read_history. Raises AdapterError."""
    step = Step.model_validate(json.loads(cursor)) if cursor else await _begin(calls, channel)
    border = int(until or 0)
    if step.places:
        page = await _read_place(calls, self_id, channel, step, border)
    else:
        page = HistoryPage(cursor=_write(await _list_threads(calls, channel, step, border)))
    return page if cursor else page.model_copy(update={"newest": str(_an_hour_ago())})


async def _begin(calls: ChannelCalls, channel: Channel) -> Step:
    """A forum has no messages of its own."""
    is_forum = (await calls.fetch_channel(channel.id)).get("type") in FORUMS
    return Step(places=() if is_forum else (channel.id,))


async def _list_threads(calls: ChannelCalls, channel: Channel, step: Step, border: int) -> Step:
    if step.then == "active":
        threads = [
            thread
            for thread in await calls.fetch_active_threads(channel.workspace)
            if str(thread.get("parent_id")) == channel.id and int(thread.get("last_message_id") or 0) > border
        ]
        return Step(places=_public(threads), then="archived")
    threads, has_more = await calls.fetch_archived_threads(channel.id, step.archived_before)
    times = [str(thread["thread_metadata"]["archive_timestamp"]) for thread in threads]
    # Nothing is said in a thread after it was archived.
    fresh = [t for t, at in zip(threads, times, strict=True) if datetime.fromisoformat(at) > _time_of(border)]
    goes_on = has_more and len(fresh) == len(threads) and bool(threads)
    return Step(
        places=_public(fresh),
        then="archived" if goes_on else "end",
        archived_before=min(times, key=datetime.fromisoformat, default=None),
    )


async def _read_place(
    calls: ChannelCalls, self_id: str, channel: Channel, step: Step, border: int
) -> HistoryPage:
    place_id = step.places[0]
    rest = step.model_copy(update={"places": step.places[1:], "before": None})
    try:
        bounds = {"before": step.before} if step.before else {}
        payloads = await calls.fetch_history(place_id, PAGE, **bounds)
    except ForbiddenError:
        if place_id == channel.id:
            raise
        payloads = []  # the thread is gone since
    ids = [int(payload["id"]) for payload in payloads]
    if len(payloads) == PAGE and min(ids) > border:
        rest = step.model_copy(update={"before": str(min(ids))})
    messages = (_parse(payload, channel, place_id, self_id) for payload in payloads)
    return HistoryPage(messages=tuple(m for m in messages if m is not None), cursor=_write(rest))


def _parse(payload: dict[str, Any], channel: Channel, place_id: str, self_id: str) -> Message | None:
    is_thread = place_id != channel.id
    place = Place(private=channel.private, is_thread=is_thread, parent=channel.id if is_thread else None)
    where = {"guild_id": channel.workspace, "channel_id": place_id}
    return parse_said({**payload, **where}, place, self_id)


def _public(threads: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(thread["id"]) for thread in threads if thread.get("type") in PUBLIC_THREADS)


def _an_hour_ago() -> int:
    """The id that a message would have had then: no clock is so wrong that what comes after were missed."""
    return snowflake_of(datetime.now(UTC) - timedelta(hours=1))


def _time_of(snowflake: int) -> datetime:
    return datetime.fromtimestamp(((snowflake >> 22) + EPOCH_MILLISECONDS) / 1000, UTC)


def _write(step: Step) -> str | None:
    return None if step.then == "end" and not step.places else step.model_dump_json()

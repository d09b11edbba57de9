"""A channel of Slack read back as a source of knowledge: page by page from its newest message, each thread as it
comes. Every step is one call, however strict Slack's limits are, and a cursor says where the next one goes on."""

from __future__ import annotations

import json

from bot.adapter import ChannelFacts, ForbiddenError, HistoryPage
from bot.slack.api import SlackApi
from bot.slack.events import parse_history
from bot.slack.payloads import BotIdentity
from core.messages import Channel, Frozen

PAGE = 200
_NO_SOURCES = ("is_im", "is_mpim")


class Place(Frozen):
    """Where a walk stands: `before` which message of the channel it goes on, and which threads of what it has
    read come first. `replies` is Slack's own cursor in the first of them. `is_over`: only they are left."""

    before: str = ""
    threads: tuple[str, ...] = ()
    replies: str = ""
    is_over: bool = False


async def describe_channel(api: SlackApi, channel: Channel, home: str) -> ChannelFacts:
    """`home` is the address of the workspace, with a slash at its end. Raises AdapterError."""
    answer = await api.read(channel.workspace, "conversations.info", channel=channel.id)
    facts = answer["channel"]
    if any(facts.get(kind) for kind in _NO_SOURCES):
        raise ForbiddenError("direct messages are no source")
    address = f"{home}archives/{{place}}/p{{digits}}"
    return ChannelFacts(
        name=str(facts.get("name") or ""), private=bool(facts.get("is_private")), address=address
    )


async def read_history(
    api: SlackApi, bot: BotIdentity, channel: Channel, cursor: str | None, until: str | None
) -> HistoryPage:
    """See bot.adapter.Adapter.read_history. Raises AdapterError."""
    place = Place.model_validate(json.loads(cursor)) if cursor else Place()
    if place.threads:
        return await _read_thread(api, bot, channel, place)
    # Never with `oldest`: alone it would turn the order round.
    bounds = {"latest": place.before, "inclusive": "false"} if place.before else {}
    answer = await api.read(
        channel.workspace, "conversations.history", channel=channel.id, limit=PAGE, **bounds
    )
    said = list(answer.get("messages") or ())
    border = float(until or 0)
    threads = tuple(str(m["ts"]) for m in said if float(m.get("latest_reply") or 0) > border)
    oldest = min((str(m["ts"]) for m in said), key=float, default="")
    is_over = not said or not answer.get("has_more") or float(oldest) <= border
    after = Place(before=oldest, threads=threads, is_over=is_over)
    messages = (parse_history(m, channel, bot) for m in said)
    newest = max((str(m["ts"]) for m in said), key=float, default=None) if not place.before else None
    return HistoryPage(
        messages=tuple(m for m in messages if m is not None), newest=newest, cursor=_write(after)
    )


async def _read_thread(api: SlackApi, bot: BotIdentity, channel: Channel, place: Place) -> HistoryPage:
    root = place.threads[0]
    more = {"cursor": place.replies} if place.replies else {}
    rest = Place(before=place.before, threads=place.threads[1:], is_over=place.is_over)
    try:
        answer = await api.read(
            channel.workspace, "conversations.replies", channel=channel.id, ts=root, limit=PAGE, **more
        )
    except ForbiddenError:
        if not place.replies:
            return HistoryPage(cursor=_write(rest))  # the thread is gone since
        answer = {}
    replies = (parse_history({**m, "thread_ts": root}, channel, bot) for m in answer.get("messages") or ())
    following = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
    if following:
        rest = place.model_copy(update={"replies": following})
    return HistoryPage(messages=tuple(m for m in replies if m is not None), cursor=_write(rest))


def _write(place: Place) -> str | None:
    return None if place.is_over and not place.threads else place.model_dump_json()

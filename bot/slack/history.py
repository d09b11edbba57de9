"""Reading a thread back: what was said before us, and whether an earlier attempt of ours is there."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bot.adapter import Delivery, UndecidableError
from bot.slack.api import SlackApi
from bot.slack.events import author_of, message_of
from bot.slack.payloads import BotIdentity
from bot.slack.render import METADATA_EVENT_TYPE
from core.messages import Message, Thread

_PAGE = 200
_MAX_PAGES = 20


async def find_posted(api: SlackApi, bot: BotIdentity, delivery: Delivery) -> str | None:
    """Our message that carries the effect's id; else a stream of ours that was cut before it got one.

    A stream gets its metadata only when it is stopped. So a message of ours after the question, without
    metadata and unknown to the outbox, is what the first part left behind.
    """
    if delivery.target.only_author_sees:
        raise UndecidableError("what only one person sees cannot be read back")
    cut_stream: str | None = None
    question = delivery.target.question_message_id
    replies = _replies(api, delivery.target.thread, whole=True, oldest=question, inclusive="false")
    async for message in replies:
        author = author_of(message, bot)
        if author is None or not author.is_self or message["ts"] <= question:
            continue
        effect_id = _effect_id(message)
        if effect_id == str(delivery.effect_id):
            return str(message["ts"])
        if effect_id is None and cut_stream is None and message["ts"] not in delivery.known_message_ids:
            cut_stream = str(message["ts"])
    return cut_stream if delivery.part == 0 else None


async def fetch_thread(api: SlackApi, bot: BotIdentity, message: Message, limit: int) -> list[Message]:
    """What was said in the thread before the message, oldest first, the newest `limit` of it."""
    said: deque[Message] = deque(maxlen=limit)
    channel = message.thread.channel
    async for reply in _replies(api, message.thread, latest=message.id, inclusive="false"):
        author = author_of(reply, bot)
        if author is not None and float(reply["ts"]) < float(message.id) and reply.get("text"):
            said.append(message_of({**reply, "thread_ts": message.thread.id}, channel, author, bot))
    return list(said)


async def _replies(
    api: SlackApi, thread: Thread, *, whole: bool = False, **bounds: str
) -> AsyncIterator[Mapping[str, Any]]:
    """`whole`: raises UndecidableError where there is more than we read."""
    cursor = ""
    for _ in range(_MAX_PAGES):
        page = await api.read(
            thread.channel.workspace,
            "conversations.replies",
            channel=thread.channel.id,
            ts=thread.id,
            limit=_PAGE,
            include_all_metadata="true",
            **bounds,
            **({"cursor": cursor} if cursor else {}),
        )
        for message in page.get("messages", ()):
            yield message
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return
    if whole:
        raise UndecidableError("more was said since than we read back")


def _effect_id(message: Mapping[str, Any]) -> str | None:
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != METADATA_EVENT_TYPE:
        return None
    return str((metadata.get("event_payload") or {}).get("effect_id"))

"""Reading back what was said before a question."""

from __future__ import annotations

from typing import Any

from bot.discord.events import Place, parse_history
from bot.discord.rest import ChannelCalls
from core.messages import Message, Thread

LONGEST_PAGE = 100
LONGEST_REPLY_CHAIN = 10


class History:
    """What was said in a thread, or what a message replies to. `self_id` is the bot's own."""

    def __init__(self, channels: ChannelCalls, self_id: str) -> None:
        self._channels = channels
        self._self_id = self_id

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        thread = message.thread
        if thread.id != thread.channel.id:
            return await self._fetch_replied_to(message, min(limit, LONGEST_REPLY_CHAIN))
        history = await self._channels.fetch_history(
            thread.channel.id, min(limit, LONGEST_PAGE), before=message.id
        )
        messages = (self._read_back(payload, thread) for payload in reversed(history))
        return [message for message in messages if message is not None]

    async def _fetch_replied_to(self, message: Message, limit: int) -> list[Message]:
        """The messages that the question replies to, one after the other."""
        found: list[Message] = []
        payload = await self._channels.fetch_message(message.thread.channel.id, message.id)
        while len(found) < limit:
            answered = payload.get("referenced_message")
            if not answered:
                break
            if (earlier := self._read_back(answered, message.thread)) is not None:
                found.append(earlier)
            if not answered.get("message_reference"):
                break
            payload = await self._channels.fetch_message(message.thread.channel.id, str(answered["id"]))
        return found[::-1]

    def _read_back(self, payload: dict[str, Any], thread: Thread) -> Message | None:
        channel = thread.channel
        guild_id = None if channel.workspace.startswith("dm:") else channel.workspace
        message = parse_history({"guild_id": guild_id, **payload}, Place(), self._self_id)
        return None if message is None else message.model_copy(update={"thread": thread})

"""Takes down what people say to each other in channels that are sources of knowledge, follows their edits, and
erases what they delete. What they say to us, what we say and what other bots say is none."""

from __future__ import annotations

from core.knowledge.channel_messages import ChannelMessages, source_of
from core.messages import Event, Message, MessageDeleted, MessageEdited, MessageHeard, MessagePosted


class Recording:
    """Every step may be repeated."""

    def __init__(self, said: ChannelMessages) -> None:
        self._said = said

    async def take_down(self, event: Event) -> None:
        """Bring what is kept of the channel in line with the event, if it is a source. Raises StorageError."""
        if isinstance(event, MessageDeleted):
            await self._said.remove(event.channel, [event.message_id])
        elif isinstance(event, MessageHeard) or (
            isinstance(event, MessagePosted) and event.addressing == "thread"
        ):
            await self._record(event.message)
        elif isinstance(event, MessageEdited):
            await self._take_edit(event)

    async def _record(self, message: Message) -> None:
        if message.text.strip() and not message.author.is_bot and not message.confined:
            await self._said.record([message])

    async def _take_edit(self, event: MessageEdited) -> None:
        """What is now said to us, or without words, is knowledge no longer. The text of an edit in a channel that
        is no source has not come this far."""
        if event.addressing in (None, "thread") and event.message.text.strip():
            await self._record(event.message)
            return
        channel = event.message.thread.channel
        if source_of(channel).uri in {watched.uri for watched in await self._said.watched()}:
            await self._said.remove(channel, [event.message.id])

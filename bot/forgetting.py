"""What happens to a deletion: the message, and everything that came of it, is gone."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from bot.adapter import Adapter, ForbiddenError, MessageGoneError, UnauthorizedError
from bot.answering import Ended
from core.messages import MessageDeleted
from core.ports import TurnStore

log = structlog.get_logger(__name__)


class Forgetting:
    """Erases what derives from a deleted question, and removes our reply to it."""

    def __init__(self, adapters: Mapping[str, Adapter], turns: TurnStore) -> None:
        self._adapters = adapters
        self._turns = turns

    async def take(self, event: MessageDeleted) -> Ended:
        """Erase first, then remove what is visible. Raises AdapterError when that is worth another try.

        The erased record still knows the ids of our posts, so a repeated attempt removes what is left.
        """
        effects = await self._turns.forget_message(event.channel, event.message_id)
        adapter = self._adapters[event.channel.platform]
        removed = 0
        if adapter.capabilities.deletes:
            for effect in effects:
                if effect.message_id is None:
                    continue
                try:
                    await adapter.delete(event.channel, effect.message_id)
                except MessageGoneError:
                    continue
                except (ForbiddenError, UnauthorizedError) as error:
                    log.warning("reply_not_removed", error=type(error).__name__)
                    continue
                removed += 1
        if effects:
            log.info("message_forgotten", replies_removed=removed)
        return "recorded", f"{removed} replies removed"

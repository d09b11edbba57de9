"""Bot tokens that expire: renewed in time, by one process at a time, with the help of Slack's library.

Slack takes a refresh token once. A process that dies between the renewal and the commit takes the new one with
it: then the old token still works for a while, and after that only a new installation helps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError, SlackTokenRotationError
from slack_sdk.oauth.installation_store import Bot
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from bot.adapter import UnauthorizedError, UnavailableError
from core.leases import Exclusive

RENEW_BEFORE_SECONDS = 2 * 3600.0
_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.2
NOT_RENEWED = "not_renewed"
"""The name under which the installation keeps Slack's word for why it does not renew the token."""
REMEDY = "open /slack/install once more for this workspace"

ReadBot = Callable[[], Awaitable[Bot | None]]
SaveBot = Callable[[Bot], Awaitable[None]]

log = structlog.get_logger(__name__)


class TokenRotation:
    """`make_rotator` is called in the running loop."""

    def __init__(self, make_rotator: Callable[[], AsyncTokenRotator], exclusive: Exclusive) -> None:
        self._make_rotator = make_rotator
        self._exclusive = exclusive
        self._used_up: set[str] = set()

    async def renewed(self, workspace: str, bot: Bot, read: ReadBot, save: SaveBot) -> Bot:
        """The bot with a token that is good for a while; `read` and `save` go to the store.

        Raises UnauthorizedError when it is over and cannot be renewed, UnavailableError, StorageError.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while is_due(bot):
            if bot.bot_refresh_token is None or bot.bot_refresh_token in self._used_up:
                return _while_it_lasts(bot)
            async with self._exclusive.exclusively(f"slack-token/{workspace}") as ours:
                bot = await read() or bot  # another process may have been faster
                if ours and is_due(bot):
                    return await self._renew(workspace, bot, save)
            if not ours and not is_over(bot):
                return bot  # it is being renewed, and this one still works
            if time.monotonic() > deadline:
                raise UnavailableError("the token is being renewed", maybe_accepted=False)
            await asyncio.sleep(_POLL_SECONDS)
        return bot

    async def _renew(self, workspace: str, bot: Bot, save: SaveBot) -> Bot:
        try:
            renewed = await self._make_rotator().perform_bot_token_rotation(
                bot=bot, minutes_before_expiration=int(RENEW_BEFORE_SECONDS // 60)
            )
        except SlackTokenRotationError as error:
            self._used_up.add(str(bot.bot_refresh_token))
            code = error.api_error.response.get("error")
            log.error("slack_token_not_renewed", workspace=workspace, error=code, remedy=REMEDY)
            bot.set_custom_value(NOT_RENEWED, str(code))
            await save(bot)
            return _while_it_lasts(bot)
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("slack_token_not_renewed_yet", workspace=workspace, error=type(error).__name__)
            if is_over(bot):
                raise UnavailableError("the token could not be renewed", maybe_accepted=False) from error
            return bot
        if renewed is None:
            return _while_it_lasts(bot)
        renewed.custom_values.pop(NOT_RENEWED, None)
        await save(renewed)
        log.info("slack_token_renewed", workspace=workspace)
        return renewed


def is_due(bot: Bot) -> bool:
    """Whether the token expires before long."""
    return (
        bot.bot_token_expires_at is not None and bot.bot_token_expires_at < time.time() + RENEW_BEFORE_SECONDS
    )


def is_over(bot: Bot) -> bool:
    """Whether the token has expired."""
    return bot.bot_token_expires_at is not None and bot.bot_token_expires_at <= time.time()


def _while_it_lasts(bot: Bot) -> Bot:
    if is_over(bot):
        raise UnauthorizedError(f"the token has expired and cannot be renewed: {REMEDY}")
    return bot

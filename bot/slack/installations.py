"""Several workspaces: where their tokens are kept, and how Slack's library reads and writes them.

`InstallationStore` is the small port; what it keeps is Slack's own JSON, opaque to it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from bot.adapter import UnauthorizedError
from bot.slack.api import quiet_logger
from bot.slack.payloads import PLATFORM
from bot.slack.rotation import NOT_RENEWED, TokenRotation, is_due

STATE_LIFETIME_SECONDS = 600
_TOKEN_CACHE_SECONDS = 30.0
_INSTALLED_AS = "installed_as"


class InstallationStore(Protocol):
    """One installation per (platform, workspace), and one-time states of installations under way."""

    async def save(self, platform: str, workspace: str, data: Mapping[str, Any]) -> None:
        """Keep the installation; it replaces what was there. `data` is JSON."""
        ...

    async def find(self, platform: str, workspace: str) -> Mapping[str, Any] | None: ...

    async def workspaces(self, platform: str) -> list[str]:
        """Every workspace that something was saved for."""
        ...

    async def remove(self, platform: str, workspace: str) -> bool:
        """True: there was one."""
        ...

    async def issue_state(self, platform: str, state: str, lifetime_seconds: float) -> None: ...

    async def consume_state(self, platform: str, state: str) -> bool:
        """True once for a state that was issued and has not expired; it is used up by that."""
        ...


class Installations(AsyncInstallationStore):
    """Slack's library's view of an InstallationStore. An installation in a whole organisation is kept
    under the organisation, and each of its workspaces points there once it was seen."""

    def __init__(self, store: InstallationStore, rotation: TokenRotation | None = None) -> None:
        self._store = store
        self._rotation = rotation
        self._cache: dict[str, tuple[float, Bot]] = {}

    @property
    def logger(self) -> logging.Logger:
        return quiet_logger()

    async def async_save(self, installation: Installation) -> None:
        whole_organisation = installation.is_enterprise_install or installation.team_id is None
        workspace = installation.enterprise_id if whole_organisation else installation.team_id
        if workspace is None:
            raise ValueError("an installation names no workspace")
        await self._save(workspace, installation.to_bot())

    async def _save(self, workspace: str, bot: Bot) -> None:
        data = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in bot.to_dict().items()
        }
        await self._store.save(PLATFORM, workspace, data)
        self._cache.clear()

    async def async_find_bot(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        is_enterprise_install: bool | None = False,
    ) -> Bot | None:
        found = await self.bot_of(team_id) if team_id is not None else None
        if found is None and enterprise_id is not None:
            found = await self.bot_of(enterprise_id)
            if found is not None and found.is_enterprise_install and team_id is not None:
                await self._store.save(PLATFORM, team_id, {_INSTALLED_AS: enterprise_id})
                self._cache.pop(team_id, None)
        return found

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        return None

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        workspace = team_id or enterprise_id
        if workspace is not None:
            await self._store.remove(PLATFORM, workspace)
            self._cache.clear()

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Nothing is kept for single people."""

    async def bot_of(self, workspace: str) -> Bot | None:
        """The bot installed in a workspace, remembered for some seconds."""
        known = self._cache.get(workspace)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        bot = await self._read(workspace)
        if bot is not None:
            self._cache[workspace] = (time.monotonic() + _TOKEN_CACHE_SECONDS, bot)
        return bot

    async def _read(self, workspace: str) -> Bot | None:
        data = await self._store.find(PLATFORM, workspace)
        if data is not None and _INSTALLED_AS in data:
            data = await self._store.find(PLATFORM, str(data[_INSTALLED_AS]))
        return None if data is None else read_bot(data)

    async def token(self, workspace: str) -> str:
        """The token to send with. Raises UnauthorizedError where we are not, or no longer, installed."""
        bot = await self.bot_of(workspace)
        if bot is None or not bot.bot_token:
            raise UnauthorizedError("not installed in this workspace")
        if self._rotation is not None and is_due(bot):
            owner = str(bot.enterprise_id if bot.is_enterprise_install else bot.team_id or workspace)

            async def read() -> Bot | None:
                return await self._read(owner)

            async def save(renewed: Bot) -> None:
                await self._save(owner, renewed)

            bot = await self._rotation.renewed(owner, bot, read, save)
        return bot.bot_token


def read_bot(data: Mapping[str, Any]) -> Bot:
    """The bot that was saved."""
    kept = dict(data)
    refused = kept.pop(NOT_RENEWED, None)
    return Bot(**kept, custom_values={NOT_RENEWED: refused} if refused else {})


async def list_bots(store: InstallationStore) -> list[tuple[str, Bot]]:
    """Every installation with its workspace, or its organisation."""
    bots = []
    for workspace in await store.workspaces(PLATFORM):
        data = await store.find(PLATFORM, workspace)
        if data is not None and _INSTALLED_AS not in data:
            bots.append((workspace, read_bot(data)))
    return bots


class InstallationStates(AsyncOAuthStateStore):
    """The states that tie the return from Slack's consent page to its beginning."""

    expiration_seconds = STATE_LIFETIME_SECONDS

    def __init__(self, store: InstallationStore) -> None:
        self._store = store

    @property
    def logger(self) -> logging.Logger:
        return quiet_logger()

    async def async_issue(self, *args: object, **kwargs: object) -> str:
        state = secrets.token_urlsafe(32)
        await self._store.issue_state(PLATFORM, state, STATE_LIFETIME_SECONDS)
        return state

    async def async_consume(self, state: str) -> bool:
        return await self._store.consume_state(PLATFORM, state)


class InstalledAuthorize(AsyncAuthorize):
    """Who we are where an event came from, without a call to Slack before the acknowledgement."""

    def __init__(self, installations: Installations) -> None:
        self._installations = installations

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        actor_enterprise_id: str | None = None,
        actor_team_id: str | None = None,
        actor_user_id: str | None = None,
    ) -> AuthorizeResult | None:
        bot = await self._installations.async_find_bot(enterprise_id=enterprise_id, team_id=team_id)
        if bot is None:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_id=bot.bot_id,
            bot_user_id=bot.bot_user_id,
            bot_token=bot.bot_token,
        )

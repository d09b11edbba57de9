"""Every call to Slack's Web API: one session, the right token, no silent retries, errors translated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapter import RateLimitedError
from bot.pacing import SendBudget
from bot.slack.errors import TokenRevokedError, translate_error
from core.messages import Channel

CALL_TIMEOUT_SECONDS = 15.0
_CONNECTIONS = 100
_COUNTED_BY_CHANNEL = frozenset({"chat.postMessage", "chat.postEphemeral"})

Answer = Mapping[str, Any]

log = structlog.get_logger(__name__)


def quiet_logger() -> logging.Logger:
    """Slack's libraries log texts and headers below ERROR, and spend time on it even when nobody listens."""
    logger = logging.getLogger("threadlore.slack_libraries")
    logger.setLevel(logging.ERROR)
    return logger


class Tokens(Protocol):
    """Where the bot token of a workspace comes from."""

    async def token(self, workspace: str) -> str:
        """Raises UnauthorizedError when there is none, or no longer."""
        ...


class SlackApi:
    """Calls by method name. The session opens with the first call and belongs to the running loop."""

    def __init__(self, base_url: str, tokens: Tokens, budget: SendBudget | None = None) -> None:
        self.base_url = base_url
        self._budget = budget or SendBudget()
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[str, AsyncWebClient] = {}
        self._revoked: set[str] = set()
        self._logger = quiet_logger()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one session, with a total time limit for each call."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_SECONDS),
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=30),
            )
            self._clients.clear()
        return self._session

    def client(self, token: str | None = None) -> AsyncWebClient:
        """A client of Slack's own library on our session: it never repeats a call by itself."""
        return AsyncWebClient(
            token=token,
            base_url=self.base_url,
            session=self.session,
            retry_handlers=[],
            logger=self._logger,
        )

    async def post(self, workspace: str, method: str, body: Mapping[str, object]) -> Answer:
        """A method that takes JSON, at once. Raises AdapterError."""
        try:
            return await self._call(workspace, method, {"json": dict(body)})
        except RateLimitedError as error:
            for place in _places(workspace, str(body.get("channel")), method):
                self._budget.note_refusal(place, error.retry_after_seconds)
            raise

    async def turn(self, channel: Channel, method: str) -> None:
        """Wait until the method may be called in the channel: before every call that must be made."""
        await self._budget.turn(*_places(channel.workspace, channel.id, method))

    def seconds_until_free(self, channel: Channel, method: str) -> float:
        """0: it may be called now. Otherwise when to ask again: before every call that can be left out."""
        return self._budget.seconds_until_free(*_places(channel.workspace, channel.id, method))

    async def read(self, workspace: str, method: str, **arguments: str | int) -> Answer:
        """A method that takes a form, as those that read do. Raises AdapterError."""
        return await self._call(workspace, method, {"data": arguments})

    async def _call(self, workspace: str, method: str, arguments: dict[str, Any]) -> Answer:
        token = await self._tokens.token(workspace)
        if token in self._revoked:
            raise TokenRevokedError(f"{method}: not called, the token was revoked")
        session = self.session
        client = self._clients.get(token)
        if client is None or client.session is not session:
            client = self._clients[token] = self.client(token)
        try:
            response = await client.api_call(method, **arguments)
        except (TimeoutError, SlackClientError, aiohttp.ClientError, OSError) as error:
            translated = translate_error(method, error)
            if isinstance(translated, TokenRevokedError):
                self._revoked.add(token)
                log.warning("slack_token_revoked", workspace=workspace, method=method)
            raise translated from error
        return response.data if isinstance(response.data, dict) else {}

    async def aclose(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
        self._clients.clear()


def _places(workspace: str, channel: str, method: str) -> tuple[tuple[str, str], ...]:
    """What a refusal is about. Slack counts posts by channel and every other method by workspace; a channel
    in which one call was refused is left alone by all."""
    if method in _COUNTED_BY_CHANNEL:
        return ((workspace, channel),)
    return ((workspace, channel), (workspace, method))

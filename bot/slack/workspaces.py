"""Which workspaces the app is in, who it is there, and with which token: in one, by its bot token, or in every one
that has installed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import structlog
from slack_bolt.async_app import AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapter import ForbiddenError, UnauthorizedError
from bot.slack.api import SlackApi, Tokens
from bot.slack.payloads import BotIdentity
from bot.slack.rotation import TokenRotation
from bot.slack.settings import SlackSettings
from core.errors import SettingsError
from core.leases import Exclusive

if TYPE_CHECKING:
    from bot.slack.installations import InstallationStore

log = structlog.get_logger(__name__)


class Workspaces(Tokens, Protocol):
    """Also where the token of a workspace comes from."""

    @property
    def have_tokens_of_their_own(self) -> bool:
        """A token that is refused says nothing about other workspaces."""
        ...

    @property
    def is_revoked(self) -> bool:
        """Whether Slack told us that it is over everywhere."""
        ...

    async def open(self, api: SlackApi) -> None:
        """Find out who we are, where that is the same everywhere. Raises SettingsError for a token that is refused,
        AdapterError."""
        ...

    async def bot_in(self, api: SlackApi, workspace: str) -> BotIdentity:
        """Who we are there. Raises AdapterError."""
        ...

    async def address_of(self, api: SlackApi, workspace: str) -> str:
        """The address of the workspace, with a slash at its end. Raises AdapterError."""
        ...

    def names(self) -> list[str] | None:
        """All that we may look into; None: those where anything was ever heard."""
        ...

    async def forget(self, workspace: str) -> None:
        """It took its token back. An app may be installed elsewhere too, and then its socket tells of that as well."""
        ...

    def build_authorize(self) -> AsyncAuthorize:
        """For bolt, which asks before every event; no call may stand before the acknowledgement."""
        ...

    def build_oauth(self) -> AsyncOAuthSettings | None:
        """How further workspaces install the app; None: they cannot."""
        ...


def build_workspaces(
    settings: SlackSettings,
    installations: InstallationStore | None,
    exclusive: Exclusive | None,
    client: Callable[[], AsyncWebClient],
) -> Workspaces:
    """As the settings say. `installations` is needed for several workspaces; without `exclusive`, their tokens are not
    renewed. `client` is called in the running loop."""
    if not settings.installs:
        return OneWorkspace(settings.secret("slack_bot_token"))
    if installations is None:
        raise ValueError("several workspaces need a store of installations")
    return InstalledWorkspaces(settings, installations, exclusive, client)


class OneWorkspace:
    """The same token for every workspace, until it is revoked. Who we are is known once open."""

    have_tokens_of_their_own = False

    def __init__(self, token: str) -> None:
        self._token: str | None = token
        self.identity = BotIdentity(user_id="")
        self._workspace: str | None = None
        self._address = ""

    async def token(self, workspace: str) -> str:
        if self._token is None:
            raise UnauthorizedError("the token was revoked")
        return self._token

    @property
    def is_revoked(self) -> bool:
        return self._token is None

    async def open(self, api: SlackApi) -> None:
        if self.identity.user_id:
            return
        try:
            answer = await api.post("", "auth.test", {})
        except UnauthorizedError as error:
            raise SettingsError(
                "SLACK_BOT_TOKEN",
                f"is refused by Slack ({error}).",
                "Copy the Bot User OAuth Token (xoxb-...) again, or install the app anew, under OAuth & Permissions.",
            ) from error
        self.identity = BotIdentity(user_id=str(answer["user_id"]), bot_id=answer.get("bot_id"))
        self._workspace, self._address = answer.get("team_id"), str(answer.get("url") or "")
        log.info("slack_opened", workspace=answer.get("team_id"), bot=self.identity.user_id)

    async def bot_in(self, api: SlackApi, workspace: str) -> BotIdentity:
        await self.open(api)
        return self.identity

    async def address_of(self, api: SlackApi, workspace: str) -> str:
        await self.open(api)
        if workspace != self._workspace:
            raise ForbiddenError("the token is for another workspace")
        return self._address

    def names(self) -> list[str] | None:
        return [self._workspace] if self._workspace else None

    async def forget(self, workspace: str) -> None:
        if workspace == self._workspace:
            self._token = None

    def build_authorize(self) -> AsyncAuthorize:
        return _AuthorizeAsOne(self)

    def build_oauth(self) -> None:
        return None


class _AuthorizeAsOne(AsyncAuthorize):
    """Who we are, from `open`."""

    def __init__(self, workspace: OneWorkspace) -> None:
        self._workspace = workspace

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
    ) -> AuthorizeResult:
        bot = self._workspace.identity
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_id=bot.bot_id, bot_user_id=bot.user_id
        )


class InstalledWorkspaces:
    """Every workspace has a bot user and a token of its own, kept with its installation."""

    have_tokens_of_their_own = True
    is_revoked = False

    def __init__(
        self,
        settings: SlackSettings,
        store: InstallationStore,
        exclusive: Exclusive | None,
        client: Callable[[], AsyncWebClient],
    ) -> None:
        from bot.slack.installations import Installations

        self._settings = settings
        self._store = store
        rotation = _build_rotation(settings, exclusive, client) if exclusive is not None else None
        self._installations = Installations(store, rotation)

    async def token(self, workspace: str) -> str:
        return await self._installations.token(workspace)

    async def open(self, api: SlackApi) -> None:
        """There is no one that we are everywhere."""

    async def bot_in(self, api: SlackApi, workspace: str) -> BotIdentity:
        bot = await self._installations.bot_of(workspace)
        if bot is None:
            raise UnauthorizedError("not installed in this workspace")
        return BotIdentity(user_id=bot.bot_user_id, bot_id=bot.bot_id)

    async def address_of(self, api: SlackApi, workspace: str) -> str:
        return str((await api.post(workspace, "auth.test", {}))["url"])

    def names(self) -> None:
        return None

    async def forget(self, workspace: str) -> None:
        await self._installations.async_delete_bot(enterprise_id=None, team_id=workspace)

    def build_authorize(self) -> AsyncAuthorize:
        from bot.slack.installations import InstalledAuthorize

        return InstalledAuthorize(self._installations)

    def build_oauth(self) -> AsyncOAuthSettings:
        from bot.slack.oauth import build_oauth_settings

        return build_oauth_settings(self._settings, self._installations, self._store)


def _build_rotation(
    settings: SlackSettings, exclusive: Exclusive, client: Callable[[], AsyncWebClient]
) -> TokenRotation:
    client_id, secret = str(settings.slack_client_id), settings.secret("slack_client_secret")

    def make_rotator() -> AsyncTokenRotator:
        return AsyncTokenRotator(client_id=client_id, client_secret=secret, client=client())

    return TokenRotation(make_rotator, exclusive)

"""O2: what operators get wrong, one mistake at a time, and that the doctor names it with its remedy.

Each mistake is made against loopback servers and a real Postgres; the first test shows that the same ground is
found in order without it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from sqlalchemy import text

from bot.adapter import UnauthorizedError
from bot.commands.checking import examine
from bot.doctor import Finding
from bot.slack.api import SlackApi
from bot.slack.installations import Installations
from bot.slack.manifest import BOT_SCOPES
from bot.slack.rotation import TokenRotation
from bot.testing.discord.world import READ_HISTORY, SEND_IN_THREADS, SEND_MESSAGES, VIEW_CHANNEL
from bot.testing.discord_server import DiscordServer
from bot.testing.slack import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, SlackServer
from bot.testing.slack import Fault as SlackFault
from core.storage.database import Database
from core.storage.exclusive import Exclusive
from core.storage.installations import PostgresInstallationStore
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import Fault as ModelFault
from core.testing.model_server import ModelServer
from core.testing.pooler import TransactionPooler
from core.testing.reranker import RerankerServer
from tests.conftest import EMPTY_ALL_TABLES

ALL = VIEW_CHANNEL | SEND_MESSAGES | READ_HISTORY | SEND_IN_THREADS
SLOW = ("models", "embedder")
"""Checks whose libraries take their time."""
NOBODY = "http://127.0.0.1:9"
REMOTE = "http://slack.example.com/api/"
HTTP_MODE = {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": SIGNING_SECRET}
INSTALLED = {
    **HTTP_MODE,
    "SLACK_BOT_TOKEN": "",
    "SLACK_CLIENT_ID": "123.456",
    "SLACK_CLIENT_SECRET": "client-secret",
}


@dataclass(frozen=True)
class Ground:
    """A whole set-up that is in order, until a mistake is made in it."""

    folder: Path
    database: Database
    servers: Servers
    stack: AsyncExitStack

    @property
    def slack(self) -> SlackServer:
        return self.servers.slack

    @property
    def discord(self) -> DiscordServer:
        return self.servers.discord

    @property
    def model(self) -> ModelServer:
        return self.servers.model

    @property
    def database_url(self) -> str:
        return self.database.url.render_as_string(hide_password=False)

    async def examine(self, *checks: str) -> list[Finding]:
        return [finding async for finding in examine(checks)]


Arrange = Callable[[Ground], Awaitable[dict[str, str] | None]]
"""Makes a mistake; returns the settings that it changes."""


@dataclass(frozen=True)
class Mistake:
    """`check` is the one to run, `finding` the name of what it must find, `words` what must be said of it."""

    what: str
    check: str
    finding: str
    words: tuple[str, ...]
    made: Arrange


def setting(what: str, check: str, finding: str, *words: str, **settings: str) -> Mistake:
    async def made(ground: Ground) -> dict[str, str]:
        return {
            name: value.format(folder=ground.folder, url=ground.database_url)
            for name, value in settings.items()
        }

    return Mistake(what, check, finding, words, made)


MISTAKES: list[Mistake] = [
    # --- names and values ---------------------------------------------------------------------------
    setting(
        "a name of another tool",
        "settings",
        "settings",
        "LANGFUSE_BASE_URL",
        LANGFUSE_HOST="https://x",
        LANGFUSE_BASE_URL="",
    ),
    setting(
        "a name nearly right",
        "settings",
        "settings",
        "DISCORD_TOKEN",
        DISCORD_BOT_TOKEN="x",
        DISCORD_TOKEN="",
    ),
    setting("quotation marks", "settings", "settings", "quotation", CHAT_MODEL='"openai:m"'),
    setting("a model without its provider", "settings", "settings", "CHAT_MODEL", CHAT_MODEL="gpt-5-mini"),
    setting("a price that is none", "settings", "settings", "MODEL_PRICES", MODEL_PRICES="openai:m=cheap"),
    # --- this machine -------------------------------------------------------------------------------
    setting("a home that is a file", "home", "home", "THREADLORE_HOME", THREADLORE_HOME="{folder}/file/home"),
    setting("knowledge that is not there", "knowledge", "knowledge", "KNOWLEDGE", KNOWLEDGE="{folder}/none"),
    setting("an empty mount", "knowledge", "knowledge", "KNOWLEDGE", "no file", KNOWLEDGE="{folder}/empty"),
    setting("a page that is gone", "knowledge", "knowledge", "KNOWLEDGE", KNOWLEDGE=f"{NOBODY}/page"),
    setting("open to all without a token", "http", "http", "HTTP_TOKEN", HTTP_HOST="0.0.0.0"),  # noqa: S104
    setting("a token that is guessed", "http", "http", "HTTP_TOKEN", HTTP_TOKEN="secret"),
    setting("an address of another machine", "http", "http", "HTTP_HOST", HTTP_HOST="127.0.0.1.example.test"),
    # --- Postgres -----------------------------------------------------------------------------------
    setting("another database", "database", "database", "DATABASE_URL", DATABASE_URL="mysql://localhost/x"),
    setting("no server", "database", "database", "DATABASE_URL", DATABASE_URL="postgresql://u@127.0.0.1:9/x"),
    setting("no such host", "database", "database", "host", DATABASE_URL="postgresql://u@db.invalid/x"),
    setting(
        "an unknown option", "database", "database", "DATABASE_URL", "sslmode", DATABASE_URL="{url}&pool=5"
    ),
    # --- models -------------------------------------------------------------------------------------
    setting("a model without its key", "models", "models", "OPENAI_API_KEY", OPENAI_API_KEY=""),
    setting("a provider that is none", "models", "models", "CHAT_MODEL", CHAT_MODEL="nobody:m"),
    setting(
        "a model's server away", "models", "chat model", "OPENAI_BASE_URL", OPENAI_BASE_URL=f"{NOBODY}/v1"
    ),
    setting("a budget without a price", "models", "models", "MODEL_PRICES", BUDGET_USD_PER_DAY="5"),
    setting(
        "a fallback of nothing",
        "models",
        "models",
        "CHAT_MODEL",
        CHAT_MODEL="",
        CHAT_MODEL_FALLBACKS="openai:n",
    ),
    setting("an embedder away", "embedder", "embedder", "OPENAI_BASE_URL", OPENAI_BASE_URL=f"{NOBODY}/v1"),
    setting("a reranker away", "reranker", "reranker", "RERANKER_URL", RERANKER_URL=f"{NOBODY}/rerank"),
    setting("half a reranker", "reranker", "reranker", "RERANKER_URL", RERANKER_URL="", RERANKER_MODEL="m"),
    setting(
        "a reranker that is not installed",
        "reranker",
        "reranker",
        "RERANKER_CLASS",
        RERANKER_URL="",
        RERANKER_CLASS="no_such_package:Encoder",
    ),
    # --- Langfuse -----------------------------------------------------------------------------------
    setting("one key of two", "langfuse", "langfuse", "LANGFUSE_SECRET_KEY", LANGFUSE_SECRET_KEY=""),
    setting(
        "keys swapped",
        "langfuse",
        "langfuse",
        "swapped",
        LANGFUSE_PUBLIC_KEY="sk-lf-1",
        LANGFUSE_SECRET_KEY="pk-lf-1",
    ),
    setting("keys of another", "langfuse", "langfuse", "refused", LANGFUSE_SECRET_KEY="sk-lf-2"),
    setting("keys in clear", "langfuse", "langfuse", "https", LANGFUSE_BASE_URL="http://lf.example.com"),
    setting("Langfuse away", "langfuse", "langfuse", "LANGFUSE_BASE_URL", LANGFUSE_BASE_URL=NOBODY),
    # --- Slack --------------------------------------------------------------------------------------
    setting(
        "tokens swapped", "slack", "slack", "xapp-", SLACK_BOT_TOKEN=APP_TOKEN, SLACK_APP_TOKEN=BOT_TOKEN
    ),
    setting("a person's token", "slack", "slack", "SLACK_BOT_TOKEN", "xoxp-", SLACK_BOT_TOKEN="xoxp-1"),
    setting("a token that expires", "slack", "slack", "SLACK_CLIENT_ID", SLACK_BOT_TOKEN="xoxe.xoxb-1"),
    setting("a bot token of another", "slack", "slack", "SLACK_BOT_TOKEN", SLACK_BOT_TOKEN="xoxb-other"),
    setting(
        "an app token of another", "slack", "slack events", "SLACK_APP_TOKEN", SLACK_APP_TOKEN="xapp-other"
    ),
    setting("no way in", "slack", "slack", "SLACK_SIGNING_SECRET", SLACK_APP_TOKEN=""),
    setting(
        "an empty signing secret", "slack", "slack", "empty", **HTTP_MODE | {"SLACK_SIGNING_SECRET": " "}
    ),
    setting(
        "a token for a signing secret",
        "slack",
        "slack events",
        "SLACK_SIGNING_SECRET",
        **HTTP_MODE | {"SLACK_SIGNING_SECRET": "xoxb-1"},
    ),
    setting(
        "the client secret for the signing secret",
        "slack",
        "slack events",
        "client secret",
        **INSTALLED | {"SLACK_SIGNING_SECRET": "client-secret"},
    ),
    setting("half of OAuth", "slack", "slack", "SLACK_CLIENT_SECRET", SLACK_CLIENT_ID="1.2"),
    setting("tokens in clear", "slack", "slack", "https", SLACK_API_URL=REMOTE),
    setting("Slack away", "slack", "slack", "SLACK_API_URL", SLACK_API_URL=f"{NOBODY}/api/"),
    setting("an emoji without a rating", "slack", "slack", "FEEDBACK_EMOJI", FEEDBACK_EMOJI="tada"),
    # --- Discord ------------------------------------------------------------------------------------
    setting("the word Bot", "discord", "discord", "Bot", DISCORD_TOKEN="Bot a.b.c"),
    setting("the id for the token", "discord", "discord", "application's id", DISCORD_TOKEN="1234567890123"),
    setting("a token that was reset", "discord", "discord", "refuses", DISCORD_TOKEN="a.b.c"),
    setting("Discord away", "discord", "discord", "DISCORD_API_URL", DISCORD_API_URL=f"{NOBODY}/api/v10"),
    setting(
        "a gateway that is none",
        "discord",
        "discord gateway",
        "proxy",
        DISCORD_GATEWAY_URL="ws://127.0.0.1:9",
    ),
]


def mistake(what: str, check: str, finding: str, *words: str) -> Callable[[Arrange], Arrange]:
    def keep(made: Arrange) -> Arrange:
        MISTAKES.append(Mistake(what, check, finding, words, made))
        return made

    return keep


# --- mistakes outside of the settings ----------------------------------------------------------------


@mistake("a database that is not there", "database", "database", "Create the database")
async def _(ground: Ground) -> dict[str, str]:
    url = ground.database.url.set(database="nowhere")
    return {"DATABASE_URL": url.render_as_string(hide_password=False)}


@mistake("a user that is not there", "database", "database", "user")
async def _(ground: Ground) -> dict[str, str]:
    url = ground.database.url.set(username="nobody_here")
    return {"DATABASE_URL": url.render_as_string(hide_password=False)}


@mistake("a replica", "database", "database", "primary")
async def _(ground: Ground) -> None:
    name = ground.database.url.database
    await ground.database.run(text(f"alter database {name} set default_transaction_read_only = on"))

    async def mend() -> None:
        await ground.database.run(text(f"alter database {name} reset default_transaction_read_only"))

    ground.stack.push_async_callback(mend)


async def _pool(ground: Ground, **options: Any) -> dict[str, str]:
    query = ground.database.url.query
    socket = f"{query['host']}/.s.PGSQL.{query.get('port', 5432)}"
    pooler = await ground.stack.enter_async_context(TransactionPooler(socket, **options))
    url = ground.database.url.set(host="127.0.0.1", port=pooler.port, query={})
    return {"DATABASE_URL": url.render_as_string(hide_password=False)}


@mistake("PgBouncer that refuses settings", "database", "database", "pool_mode=session")
async def _(ground: Ground) -> dict[str, str]:
    return await _pool(ground, lets_settings_through=False)


@mistake("PgBouncer in transaction mode", "database", "database", "pool_mode=session")
async def _(ground: Ground) -> dict[str, str]:
    return await _pool(ground)


@mistake("a model's key refused", "models", "chat model", "OPENAI_API_KEY")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=401))


@mistake("a model that is not there", "models", "chat model", "CHAT_MODEL", "404")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=404))


@mistake("no credit", "models", "chat model", "account")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=429, code="insufficient_quota"))


@mistake("a model that says nothing", "models", "chat model", "answers nothing")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="empty"))


@mistake("an embedder's key refused", "embedder", "embedder", "OPENAI_API_KEY")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=401))


@mistake("vectors of another size", "embedder", "embedder", "EMBEDDING_MODEL", "dimensions")
async def _(ground: Ground) -> None:
    await ground.database.run(
        text("insert into embedding_models (name, dimensions) values ('openai:e', 1536)")
    )

    async def mend() -> None:
        await ground.database.run(text("delete from embedding_models"))

    ground.stack.push_async_callback(mend)


@mistake("a missing scope", "slack", "slack scopes", "im:history", "reinstall")
async def _(ground: Ground) -> None:
    ground.slack.scopes = set(BOT_SCOPES) - {"im:history"}


@mistake("Socket Mode off", "slack", "slack events", "Socket Mode", "connections:write")
async def _(ground: Ground) -> None:
    ground.slack.faults.order_for_good("apps.connections.open", SlackFault(error="missing_scope"))


@mistake("the app removed", "slack", "slack", "token_revoked", "install")
async def _(ground: Ground) -> None:
    ground.slack.faults.order_for_good("auth.test", SlackFault(error="token_revoked"))


@mistake("a clock ten minutes fast", "slack", "clock", "10 minutes ahead", "NTP")
async def _(ground: Ground) -> None:
    ground.slack.clock_seconds = -600


async def _install(ground: Ground, *, expires_in: int, refresh_token: str | None) -> None:
    await Installations(PostgresInstallationStore(ground.database)).async_save(
        Installation(
            user_id="U0INSTALLER",
            team_id="T1",
            bot_token="xoxe.xoxb-lost",
            bot_id="B1",
            bot_user_id="U1",
            bot_refresh_token=refresh_token,
            bot_token_expires_at=int(time.time()) + expires_in,
        )
    )


@mistake("a renewal that was lost", "slack", "slack T1", "invalid_refresh_token", "/slack/install")
async def _(ground: Ground) -> dict[str, str]:
    await _install(ground, expires_in=-1, refresh_token="xoxe-1-used-up")
    store = PostgresInstallationStore(ground.database)
    api = SlackApi(ground.slack.api_url, Installations(store))
    ground.stack.push_async_callback(api.aclose)

    def make_rotator() -> AsyncTokenRotator:
        return AsyncTokenRotator(client_id="1", client_secret="2", client=api.client())

    process = Installations(store, TokenRotation(make_rotator, Exclusive(ground.database)))
    with pytest.raises(UnauthorizedError):
        await process.token("T1")
    return INSTALLED


@mistake("a workspace's token expired for good", "slack", "slack T1", "expired", "/slack/install")
async def _(ground: Ground) -> dict[str, str]:
    await _install(ground, expires_in=-1, refresh_token=None)
    return INSTALLED


@mistake("a workspace that removed the app", "slack", "slack T1", "invalid_auth", "/slack/install")
async def _(ground: Ground) -> dict[str, str]:
    await _install(ground, expires_in=90_000, refresh_token=None)
    return INSTALLED


@mistake("the intent off", "discord", "discord intents", "Message Content")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.application = {"flags": 0}


@mistake("an endpoint that takes the commands away", "discord", "discord interactions", "Endpoint URL")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.application = {"interactions_endpoint_url": "https://bot.example.com"}


@mistake("an invite that cannot work", "discord", "discord invite", "Code Grant")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.application = {"bot_require_code_grant": True}


@mistake("a bot in no server", "discord", "discord servers", "invite link")
async def _(ground: Ground) -> None:
    ground.discord.world.has_bot = False


@mistake("a missing permission", "discord", "discord permissions", "Send Messages in Threads")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.permissions &= ~(1 << 38)


@mistake("too many starts", "discord", "discord sessions", "restarts")
async def _(ground: Ground) -> None:
    ground.discord.rest.session_limit = 49


@mistake("a clock ten minutes slow", "discord", "clock", "10 minutes behind", "NTP")
async def _(ground: Ground) -> None:
    ground.discord.rest.clock_seconds = 600


# --- the tests -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Servers:
    slack: SlackServer
    discord: DiscordServer
    langfuse: LangfuseServer
    model: ModelServer
    reranker: RerankerServer

    def mend(self) -> None:
        """Everything as it should be."""
        self.slack.scopes = set(BOT_SCOPES)
        self.slack.faults.clear()
        self.slack.clock_seconds = 0.0
        self.model.heal()
        rest = self.discord.rest
        rest.portal.application, rest.portal.permissions, rest.session_limit, rest.clock_seconds = (
            {},
            ALL,
            1000,
            0.0,
        )
        self.discord.world.has_bot = True


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    async with (
        SlackServer() as slack,
        DiscordServer() as discord,
        LangfuseServer(public_key="pk-lf-1", secret_key="sk-lf-1") as langfuse,
        ModelServer() as model,
        RerankerServer() as reranker,
    ):
        yield Servers(slack, discord, langfuse, model, reranker)


@pytest.fixture(scope="module")
async def empty_database(migrated_database: Database) -> Database:
    await migrated_database.run(text(EMPTY_ALL_TABLES))
    return migrated_database


@pytest.fixture
async def ground(
    servers: Servers, empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ground]:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "travel.md").write_text("# Travel\n\nBook trains with the travel desk.")
    monkeypatch.chdir(tmp_path)
    servers.mend()
    async with AsyncExitStack() as stack:
        ground = Ground(tmp_path, empty_database, servers, stack)
        for name, value in settings_of(ground).items():
            monkeypatch.setenv(name, value)
        yield ground


def settings_of(ground: Ground) -> dict[str, str]:
    slack, discord = ground.slack, ground.discord
    return {
        **slack.environment(),
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": ground.model.openai_url,
        "CHAT_MODEL": "openai:m",
        "EMBEDDING_MODEL": "openai:e",
        "RERANKER_URL": f"{ground.servers.reranker.url}/rerank",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
        "LANGFUSE_SECRET_KEY": "sk-lf-1",
        "LANGFUSE_BASE_URL": ground.servers.langfuse.url,
        "DATABASE_URL": ground.database_url,
        "THREADLORE_HOME": str(ground.folder / "home"),
        "KNOWLEDGE": str(ground.folder / "handbook"),
        "HTTP_PORT": "0",
    }


async def test_without_a_mistake_nothing_is_found(ground: Ground) -> None:
    findings = [finding async for finding in examine()]
    assert [finding for finding in findings if not finding.ok] == []
    assert ground.discord.gateway.identifies == 0


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(mistake, id=mistake.what, marks=[pytest.mark.long] if mistake.check in SLOW else [])
        for mistake in MISTAKES
    ],
)
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (await mistake.made(ground) or {}).items():
        monkeypatch.setenv(name, value)
    wrong = [finding for finding in await ground.examine(mistake.check) if not finding.ok]
    named = [finding for finding in wrong if finding.name == mistake.finding]
    assert named, wrong
    said = " ".join(f"{finding.detail} {finding.remedy}" for finding in named)
    assert all(finding.remedy for finding in named)
    assert [words for words in mistake.words if words not in said] == [], said
    assert ground.discord.gateway.identifies == 0

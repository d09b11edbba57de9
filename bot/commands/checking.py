"""`doctor` and `migrate`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from bot.commands.running import (
    FAILED,
    WRONG_USAGE,
    read_quiet_settings,
    run_command,
    run_without_settings,
    tell,
    write_json,
    write_line,
)
from core.errors import ModelError, SettingsError, StorageUnavailableError

if TYPE_CHECKING:
    from bot.bootstrap import Library
    from bot.doctor import Check, Finding
    from bot.slack.installations import InstallationStore
    from core.settings import CoreSettings

MARKS = {"ok": "✓", "failed": "✗", "off": "·"}


CHECKS = (
    "settings",
    "home",
    "database",
    "embedder",
    "reranker",
    "models",
    "knowledge",
    "langfuse",
    "http",
    "slack",
    "discord",
)


def doctor(only: Sequence[str] = (), *, as_json: bool) -> None:
    """Prints every finding as it comes; exits 1 when something is wrong. `only`: these checks, not all."""
    if unknown := [name for name in only if name not in CHECKS]:
        tell(f"threadlore: there is no check {unknown[0]!r}\n  There are: {', '.join(CHECKS)}.")
        raise SystemExit(WRONG_USAGE)
    findings: list[Finding] = []

    async def work() -> None:
        async for finding in examine(only or CHECKS):
            findings.append(finding)
            if not as_json:
                write_line(f"{MARKS[finding.status]} {finding.name}: {finding.detail}")
                if finding.remedy:
                    write_line(f"    {finding.remedy}")

    run_without_settings(work)
    if as_json:
        write_json([finding.model_dump(mode="json") for finding in findings])
    wrong = [finding for finding in findings if not finding.ok]
    if wrong:
        tell(f"{len(wrong)} of {len(findings)} checks found something wrong.")
        raise SystemExit(FAILED)


async def examine(only: Sequence[str] = CHECKS) -> AsyncIterator[Finding]:
    """Each of these checks, in the order in which a person would look: the settings, this machine, the base, the
    platforms. What needs settings that cannot be read is left out."""
    from bot.doctor import run_check, wrong_setting

    checks: list[tuple[str, Check]] = [("settings", check_setting_names)]
    base = None
    async with AsyncExitStack() as stack:
        try:
            base = Examination(read_quiet_settings(), stack)
        except SettingsError as error:
            yield wrong_setting("settings", error)
        else:
            checks += base.checks()
        checks += [
            ("http", check_http),
            ("slack", partial(check_slack_app, base)),
            ("discord", check_discord_bot),
        ]
        for name, check in [(name, check) for name, check in checks if name in only]:
            for finding in await run_check(name, check):
                yield finding


async def check_setting_names() -> Sequence[Finding]:
    from pydantic_settings import DotEnvSettingsSource

    from bot.bootstrap import list_settings
    from bot.doctor import check_names
    from core.settings import CoreSettings

    file = DotEnvSettingsSource(CoreSettings, case_sensitive=True).env_vars
    return check_names({**{name: value or "" for name, value in file.items()}, **os.environ}, list_settings())


async def check_http() -> Sequence[Finding]:
    from bot.web.doctor import check_port
    from bot.web.settings import read_http_settings

    return await check_port(read_http_settings())


async def check_slack_app(base: Examination | None) -> Sequence[Finding]:
    from bot.slack.doctor import check_slack
    from bot.slack.manifest import BOT_SCOPES
    from bot.slack.settings import SlackSettings
    from core.settings import read_settings

    settings = read_settings(SlackSettings)
    installed = await base.installations() if base is not None and settings.installs else None
    return await check_slack(settings, BOT_SCOPES, installed)


async def check_discord_bot() -> Sequence[Finding]:
    from bot.discord.doctor import check_discord
    from bot.discord.settings import DiscordSettings
    from core.settings import read_settings

    return await check_discord(read_settings(DiscordSettings))


class Examination:
    """The checks that need the core's settings, with what they share: what one of them could open, the next
    ones use."""

    def __init__(self, settings: CoreSettings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._library: Library | None = None

    async def _open_library(self) -> Library:
        if self._library is None:
            from bot.bootstrap import open_library

            self._library = await self._stack.enter_async_context(open_library(self._settings))
        return self._library

    def checks(self) -> list[tuple[str, Check]]:
        return [
            ("home", self.home),
            ("database", self.database),
            ("embedder", self.embedder),
            ("reranker", self.reranker),
            ("models", self.models),
            ("knowledge", self.knowledge),
            ("langfuse", self.langfuse),
        ]

    async def installations(self) -> InstallationStore:
        """Where workspaces' own tokens are kept. Raises SettingsError, StorageError."""
        from bot.stores import open_stores

        return (await self._stack.enter_async_context(open_stores(self._settings))).installations

    async def home(self) -> Sequence[Finding]:
        from bot.doctor import check_home

        return await check_home(self._settings)

    async def database(self) -> Sequence[Finding]:
        from bot.service_checks import check_database, explain_outage
        from bot.stores import open_stores

        try:
            async with open_stores(self._settings) as stores:
                return await check_database(stores.database)
        except StorageUnavailableError as error:
            return [explain_outage(error)]

    async def embedder(self) -> Sequence[Finding]:
        from bot.service_checks import check_embedder, explain_model

        try:
            library = await self._open_library()
        except ModelError as error:
            spec = self._settings.embedding_model or ""
            return [explain_model("embedder", "EMBEDDING_MODEL", spec, error)]
        return await check_embedder(library.embedder, library.stores.knowledge_store)

    async def reranker(self) -> Sequence[Finding]:
        from bot.bootstrap import build_reranker
        from bot.service_checks import check_reranker

        return await check_reranker(build_reranker(self._settings, self._stack))

    async def models(self) -> Sequence[Finding]:
        from bot.bootstrap import build_models
        from bot.service_checks import check_chat_model

        return [f for model in build_models(self._settings) for f in await check_chat_model(model)]

    async def knowledge(self) -> Sequence[Finding]:
        from bot.bootstrap import knowledge_locations
        from bot.doctor import check_knowledge

        store = self._library.stores.knowledge_store if self._library else None
        return await check_knowledge(knowledge_locations(self._settings), store)

    async def langfuse(self) -> Sequence[Finding]:
        from bot.service_checks import check_langfuse

        return await check_langfuse(self._settings)


def migrate(*, as_json: bool) -> None:
    """Opening the stores migrates them."""

    async def work(settings: CoreSettings) -> None:
        from bot.stores import open_stores

        async with open_stores(settings):
            pass

    run_command(work)
    if as_json:
        write_json({"migrated": True})
    else:
        write_line("The schema is up to date.")

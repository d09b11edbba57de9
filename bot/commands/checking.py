"""`doctor` and `migrate`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from bot.commands.running import FAILED, run_command, tell, write_json, write_line

if TYPE_CHECKING:
    from bot.bootstrap import Library
    from bot.doctor import Check, Finding
    from core.settings import CoreSettings

MARKS = {"ok": "✓", "failed": "✗", "off": "·"}


def doctor(*, as_json: bool) -> None:
    """Prints every finding as it comes; exits 1 when something is wrong."""
    findings: list[Finding] = []

    async def work(settings: CoreSettings) -> None:
        async for finding in examine(settings):
            findings.append(finding)
            if not as_json:
                write_line(f"{MARKS[finding.status]} {finding.name}: {finding.detail}")
                if finding.remedy:
                    write_line(f"    {finding.remedy}")

    run_command(work)
    if as_json:
        write_json([finding.model_dump(mode="json") for finding in findings])
    wrong = [finding for finding in findings if not finding.ok]
    if wrong:
        tell(f"{len(wrong)} of {len(findings)} checks found something wrong.")
        raise SystemExit(FAILED)


async def examine(settings: CoreSettings) -> AsyncIterator[Finding]:
    """Every check, in the order in which a person would look: this machine, the base, the platforms."""
    from bot.doctor import run_check

    async with AsyncExitStack() as stack:
        for name, check in Examination(settings, stack).checks():
            for finding in await run_check(name, check):
                yield finding


class Examination:
    """The checks with what they share: what one of them could open, the next ones use."""

    def __init__(self, settings: CoreSettings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._library: Library | None = None

    def checks(self) -> list[tuple[str, Check]]:
        return [
            ("home", self.home),
            ("database", self.database),
            ("embedder", self.embedder),
            ("reranker", self.reranker),
            ("chat model", self.chat_models),
            ("knowledge", self.knowledge),
            ("langfuse", self.langfuse),
            ("http", self.http),
            ("slack", self.slack),
            ("discord", self.discord),
        ]

    async def home(self) -> Sequence[Finding]:
        from bot.doctor import check_home

        return await check_home(self._settings)

    async def database(self) -> Sequence[Finding]:
        from bot.bootstrap import open_stores
        from bot.doctor import check_database

        async with open_stores(self._settings) as stores:
            return await check_database(stores.database)

    async def embedder(self) -> Sequence[Finding]:
        from bot.bootstrap import open_library
        from bot.doctor import check_embedder

        self._library = await self._stack.enter_async_context(open_library(self._settings))
        return await check_embedder(self._library.embedder)

    async def reranker(self) -> Sequence[Finding]:
        from bot.doctor import check_reranker

        return await check_reranker(self._library.knowledge.reranker if self._library else None)

    async def chat_models(self) -> Sequence[Finding]:
        from bot.bootstrap import build_models
        from bot.doctor import check_chat_model

        return [f for model in build_models(self._settings) for f in await check_chat_model(model)]

    async def knowledge(self) -> Sequence[Finding]:
        from bot.bootstrap import knowledge_locations
        from bot.doctor import check_knowledge

        store = self._library.stores.knowledge_store if self._library else None
        return await check_knowledge(knowledge_locations(self._settings), store)

    async def langfuse(self) -> Sequence[Finding]:
        from bot.doctor import check_langfuse

        return await check_langfuse(self._settings)

    async def http(self) -> Sequence[Finding]:
        from bot.web.doctor import check_port
        from bot.web.settings import read_http_settings

        return await check_port(read_http_settings())

    async def slack(self) -> Sequence[Finding]:
        from bot.slack.doctor import check_slack
        from bot.slack.manifest import BOT_SCOPES
        from bot.slack.settings import SlackSettings
        from core.settings import read_settings

        return await check_slack(read_settings(SlackSettings), BOT_SCOPES)

    async def discord(self) -> Sequence[Finding]:
        from bot.discord.doctor import check_discord
        from bot.discord.settings import DiscordSettings
        from core.settings import read_settings

        return await check_discord(read_settings(DiscordSettings))


def migrate(*, as_json: bool) -> None:
    """Opening the stores migrates them."""

    async def work(settings: CoreSettings) -> None:
        from bot.bootstrap import open_stores

        async with open_stores(settings):
            pass

    run_command(work)
    if as_json:
        write_json({"migrated": True})
    else:
        write_line("The schema is up to date.")

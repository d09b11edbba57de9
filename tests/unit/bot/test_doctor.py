"""The doctor asks the real thing, on a loopback server here, and names the remedy for what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.discord.doctor import check_discord
from bot.discord.settings import DiscordSettings
from bot.doctor import Finding, good, run_check
from bot.service_checks import check_chat_model, check_langfuse
from bot.slack.doctor import check_slack
from bot.slack.settings import SlackSettings
from bot.web.doctor import check_port
from bot.web.settings import HttpSettings
from core.errors import ModelPermanentError, SettingsError
from core.settings import CoreSettings
from core.testing.loopback import LoopbackServer
from core.testing.models import FakeChatModel


class Answers(LoopbackServer):
    """Gives each path the answer of the test: (status, body, headers)."""

    def __init__(self, answers: dict[str, tuple[int, Any, dict[str, str]]]) -> None:
        super().__init__()
        self._answers = answers
        self.asked: list[tuple[str, str]] = []
        self._app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked.append((path, request.headers.get("Authorization", "")))
        status, body, headers = self._answers.get(path, (404, {}, {}))
        return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def answering(**answers: Any) -> AsyncIterator[Answers]:
    """Paths are written with __ for a slash and _at_ for @."""
    table = {}
    for name, answer in answers.items():
        path = name.replace("__", "/").replace("_at_", "@")
        status, body, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        table[path] = (status, body, headers)
    async with Answers(table) as server:
        yield server


def failed(findings: Sequence[Finding]) -> list[str]:
    assert all(finding.remedy for finding in findings if not finding.ok)
    return [finding.name for finding in findings if not finding.ok]


def slack(server: Answers | None, **more: Any) -> SlackSettings:
    url = f"{server.url}/" if server else "http://127.0.0.1:1/"
    tokens = {"slack_bot_token": "xoxb-1", "slack_app_token": "xapp-1", "slack_api_url": url}
    return SlackSettings.model_validate({**tokens, **more})


GRANTED = {"x-oauth-scopes": "chat:write,app_mentions:read"}
SCOPES = ("chat:write", "app_mentions:read")
ME = {"ok": True, "user": "lore", "team": "Acme"}


async def ask_slack(auth: Any, connection: Any, scopes: Sequence[str] = SCOPES) -> list[Finding]:
    server = Answers({"auth.test": auth, "apps.connections.open": connection})
    async with server:
        return await check_slack(slack(server), scopes)


async def test_slack_is_well_when_both_tokens_and_all_scopes_are() -> None:
    findings = await ask_slack((200, ME, GRANTED), (200, {"ok": True, "url": "wss://x"}, {}))
    assert failed(findings) == []
    assert any("Acme" in finding.detail for finding in findings)


async def test_slack_that_cannot_be_reached_is_a_finding() -> None:
    assert failed(await check_slack(slack(None), SCOPES)) == ["slack", "slack events"]


async def test_slack_without_a_token_is_off_and_nothing_is_wrong() -> None:
    (finding,) = await check_slack(
        SlackSettings.model_validate({"slack_bot_token": None, "slack_app_token": None}), SCOPES
    )
    assert (finding.status, finding.ok) == ("off", True)


def discord(server: Answers) -> DiscordSettings:
    return DiscordSettings.model_validate({"discord_token": "a.b.c", "discord_api_url": f"{server.url}/api"})


SESSIONS = {"session_start_limit": {"remaining": 900, "reset_after": 3_600_000}}


async def test_a_discord_token_that_is_refused_is_asked_about_once() -> None:
    async with answering(api__users___at_me=(401, {"message": "401: Unauthorized"}, {})) as server:
        assert failed(await check_discord(discord(server))) == ["discord"]
        assert len(server.asked) == 1


def langfuse(url: str) -> CoreSettings:
    return CoreSettings.model_validate(
        {"langfuse_public_key": "pk-lf-1", "langfuse_secret_key": "sk-lf-1", "langfuse_base_url": url}
    )


@pytest.mark.parametrize(("status", "wrong"), [(200, []), (401, ["langfuse"]), (500, ["langfuse"])])
async def test_langfuse_is_asked_with_the_keys(status: int, wrong: list[str]) -> None:
    async with answering(api__public__projects=(status, {}, {})) as server:
        assert failed(await check_langfuse(langfuse(server.url))) == wrong


async def test_a_port_that_somebody_else_has_is_found() -> None:
    async with answering(healthz={"status": "other"}) as server:
        port = int(server.url.rpartition(":")[2])
        settings = HttpSettings.model_validate({"http_host": "127.0.0.1", "http_port": port})
        assert failed(await check_port(settings)) == ["http"]


async def test_a_model_is_asked_for_real() -> None:
    assert failed(await check_chat_model(FakeChatModel(reply=lambda request: "ready"))) == []


async def test_whatever_a_check_raises_becomes_a_finding() -> None:
    async def wrong_setting() -> list[Finding]:
        raise SettingsError("X", "is wrong.", "Mend X.")

    async def wrong_model() -> list[Finding]:
        raise ModelPermanentError("no such model")

    async def broken() -> list[Finding]:
        raise RuntimeError("bug")

    async def fine() -> list[Finding]:
        await asyncio.sleep(0)
        return [good("a", "fine")]

    for check in (wrong_setting, wrong_model, broken):
        assert failed(await run_check("thing", check)) == ["thing"]
    assert failed(await run_check("thing", fine)) == []


def test_a_finding_tells_programs_whether_it_is_well() -> None:
    assert good("a", "b").model_dump() == {
        "name": "a",
        "status": "ok",
        "detail": "b",
        "remedy": None,
        "ok": True,
    }

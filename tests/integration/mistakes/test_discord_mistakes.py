"""O2: what operators get wrong about Discord, one mistake at a time; the doctor names it with its remedy."""

from __future__ import annotations

import pytest

from tests.integration.mistakes.making import NOBODY, Ground, Mistake, Mistakes, require_named

MISTAKES = Mistakes()

MISTAKES.setting("the word Bot", "discord", "discord", "Bot", DISCORD_TOKEN="Bot a.b.c")
MISTAKES.setting(
    "the id for the token", "discord", "discord", "application's id", DISCORD_TOKEN="1234567890123"
)
MISTAKES.setting("a token that was reset", "discord", "discord", "refuses", DISCORD_TOKEN="a.b.c")
MISTAKES.setting("Discord away", "discord", "discord", "DISCORD_API_URL", DISCORD_API_URL=f"{NOBODY}/api/v10")
MISTAKES.setting(
    "a gateway that is none",
    "discord",
    "discord gateway",
    "proxy",
    DISCORD_GATEWAY_URL="ws://127.0.0.1:9",
)


@MISTAKES.elsewhere("the intent off", "discord", "discord intents", "Message Content")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.application = {"flags": 0}


@MISTAKES.elsewhere(
    "an endpoint that takes the commands away", "discord", "discord interactions", "Endpoint URL"
)
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.application = {"interactions_endpoint_url": "https://bot.example.com"}


@MISTAKES.elsewhere("an invite that cannot work", "discord", "discord invite", "Code Grant")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.application = {"bot_require_code_grant": True}


@MISTAKES.elsewhere("a bot in no server", "discord", "discord servers", "invite link")
async def _(ground: Ground) -> None:
    ground.discord.world.has_bot = False


@MISTAKES.elsewhere("a missing permission", "discord", "discord permissions", "Send Messages in Threads")
async def _(ground: Ground) -> None:
    ground.discord.rest.portal.permissions &= ~(1 << 38)


@MISTAKES.elsewhere("too many starts", "discord", "discord sessions", "restarts")
async def _(ground: Ground) -> None:
    ground.discord.rest.session_limit = 49


@MISTAKES.elsewhere("a clock ten minutes slow", "discord", "clock", "10 minutes behind", "NTP")
async def _(ground: Ground) -> None:
    ground.discord.rest.clock_seconds = 600


@pytest.mark.parametrize("mistake", MISTAKES.cases())
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await require_named(mistake, ground, monkeypatch)

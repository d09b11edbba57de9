"""What an operator sets for the bot in Discord's developer portal and in its server, as the API tells it."""

from __future__ import annotations

from aiohttp import web

from bot.testing.discord.faults import answer
from bot.testing.discord.world import READ_HISTORY, SEND_IN_THREADS, SEND_MESSAGES, VIEW_CHANNEL, Json, World


class Portal:
    """`application` replaces what is set for the application, `permissions` are the bot's in the server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.application: Json = {}
        self.permissions = VIEW_CHANNEL | SEND_MESSAGES | READ_HISTORY | SEND_IN_THREADS

    def add_routes(self, router: web.UrlDispatcher, prefix: str) -> None:
        router.add_get(f"{prefix}/users/@me/guilds", self._guilds)
        router.add_get(f"{prefix}/oauth2/applications/@me", self._application)
        router.add_get(f"{prefix}/applications/@me", self._application)

    async def _application(self, request: web.Request) -> web.Response:
        return answer(
            {
                "id": self._world.application_id,
                "name": "Threadlore",
                "description": "",
                "icon": None,
                "summary": "",
                "bot_public": False,
                "bot_require_code_grant": False,
                "verify_key": "",
                "flags": 1 << 19,
                "owner": self._world.user("owner"),
                **self.application,
            }
        )

    async def _guilds(self, request: web.Request) -> web.Response:
        guild = self._world.guild()
        partial = {"id": guild["id"], "name": guild["name"], "owner": False, "features": []}
        return answer([{**partial, "permissions": str(self.permissions)}] if self._world.has_bot else [])

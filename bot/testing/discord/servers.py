"""The part of the loopback REST API that tells of the server: its roles and its threads."""

from __future__ import annotations

from aiohttp import web

from bot.testing.discord.faults import answer
from bot.testing.discord.world import PUBLIC_THREAD, Json, World

PAGE = 50


def add_server_routes(router: web.UrlDispatcher, prefix: str, world: World) -> None:
    """GET for roles, threads at work, and threads archived."""

    def threads(*, archived: bool) -> list[Json]:
        return [t for t in world.guild()["threads"] if t["thread_metadata"]["archived"] == archived]

    def archived_at(thread: Json) -> str:
        return str(thread["thread_metadata"]["archive_timestamp"])

    async def roles(request: web.Request) -> web.Response:
        return answer(world.guild()["roles"])

    async def active(request: web.Request) -> web.Response:
        return answer({"threads": threads(archived=False), "members": []})

    async def archived(request: web.Request) -> web.Response:
        parent, before = request.match_info["channel"], request.query.get("before", "9999")
        limit = int(request.query.get("limit", PAGE))
        found = [
            thread
            for thread in sorted(threads(archived=True), key=archived_at, reverse=True)
            if thread["parent_id"] == parent
            and thread["type"] == PUBLIC_THREAD
            and archived_at(thread) < before
        ]
        return answer({"threads": found[:limit], "members": [], "has_more": len(found) > limit})

    router.add_route("GET", f"{prefix}/guilds/{{guild}}/roles", roles)
    router.add_route("GET", f"{prefix}/guilds/{{guild}}/threads/active", active)
    router.add_route("GET", f"{prefix}/channels/{{channel}}/threads/archived/public", archived)

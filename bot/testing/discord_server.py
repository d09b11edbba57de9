"""A Discord on this machine: REST v10 and gateway v10 as the real library speaks them, with the real limits.

`async with DiscordServer() as server` listens on a free port of 127.0.0.1. The verbs do what people do in
Discord and return at once; what the bot then did is in `visible`, `replies_to`, `ephemeral_to`, `calls`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeVar

from aiohttp import web

from bot.testing.discord.faults import Call, Fault, Faults, Handler
from bot.testing.discord.gateway import Gateway
from bot.testing.discord.rest import RestApi
from bot.testing.discord.world import Interaction, Json, World, now_text

T = TypeVar("T")
PREFIX = "/api/v10"


class DiscordServer:
    """One Discord server (guild) with a channel `general`, people by name, and one bot."""

    def __init__(self, *, heartbeat_seconds: float = 41.25) -> None:
        self.world = World()
        first = base64.urlsafe_b64encode(self.world.application_id.encode()).decode().rstrip("=")
        self.token = f"{first}.loopback.token"
        self._faults = Faults(PREFIX)
        self.gateway = Gateway(self.world, self.token, heartbeat_seconds=heartbeat_seconds)
        self.rest = RestApi(self.world, self.gateway, self.token, self._note_change)
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.api_url = ""
        self.gateway_url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(
            middlewares=[self.rest.count_refusals, self.rest.guard, self._fault_middleware()],
            client_max_size=32 << 20,
        )
        self.rest.add_routes(app.router, PREFIX)
        app.router.add_get("/gateway-socket", self.gateway.handle)
        app.router.add_get("/gateway-socket/", self.gateway.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        port = self._runner.addresses[0][1]
        self.api_url = f"http://127.0.0.1:{port}{PREFIX}"
        self.gateway_url = self.gateway.url = f"ws://127.0.0.1:{port}/gateway-socket"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.drop_connections(1001)
        if self._runner is not None:
            await self._runner.cleanup()

    def _fault_middleware(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith(PREFIX):
                return await handler(request)
            return await self._faults.handle(request, handler)

        return middleware

    # --- what is known ----------------------------------------------------------------------------

    @property
    def bot_id(self) -> str:
        return str(self.world.bot["id"])

    @property
    def guild_id(self) -> str:
        return self.world.guild_id

    @property
    def general(self) -> str:
        """The id of the channel that is always there."""
        return self.world.general

    @property
    def calls(self) -> Sequence[Call]:
        """Every REST call so far, also those that were made to fail."""
        return self._faults.calls

    @property
    def violations(self) -> Sequence[str]:
        """What a client must not do and did: posts without allowed_mentions or with previews."""
        return self.rest.violations

    def visible(self, channel_id: str) -> list[Json]:
        """The bot's messages in a channel, oldest first."""
        return [m for m in self.world.messages[channel_id].values() if m["author"]["id"] == self.bot_id]

    def replies_to(self, message_id: str, channel_id: str | None = None) -> list[Json]:
        """The bot's messages that refer to this one."""
        return [
            m
            for m in self.visible(channel_id or self.general)
            if (m.get("message_reference") or {}).get("message_id") == message_id
        ]

    def ephemeral_to(self, name: str) -> list[Json]:
        """What only this person sees."""
        user_id = self.world.user(name)["id"]
        return [
            m for m in self.world.ephemeral.values() if m["interaction_metadata"]["user"]["id"] == user_id
        ]

    def interaction(self, interaction_id: str) -> Interaction:
        return next(i for i in self.world.interactions.values() if i.id == interaction_id)

    async def wait_until(self, condition: Callable[[], T], timeout_seconds: float = 10.0) -> T:
        """Wait until the condition gives something true, and return that. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                changed = self._changed
                if found := condition():
                    return found
                await changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # --- what goes wrong --------------------------------------------------------------------------

    def fail(self, fault: Fault) -> None:
        """Make the next matching REST calls go wrong."""
        self._faults.add(fault)

    def heal(self) -> None:
        self._faults.clear()

    # --- what people do ---------------------------------------------------------------------------

    def add_channel(self, name: str, *, private: bool = False) -> str:
        channel_id = self.world.add_channel(name, private=private)
        self.gateway.dispatch("CHANNEL_CREATE", self.world.channels[channel_id])
        return channel_id

    def remove_bot(self) -> None:
        """Somebody throws the bot out of the server."""
        self.gateway.dispatch("GUILD_DELETE", {"id": self.guild_id})
        self.world.has_bot = False

    def expire_interactions(self) -> None:
        """The 15 minutes of every command and click so far are over."""
        for interaction in self.world.interactions.values():
            interaction.began_at -= self.rest.token_seconds

    def create_thread(
        self, name: str, *, parent: str | None = None, private: bool = False, starter: str | None = None
    ) -> str:
        thread_id = self.world.add_thread(parent or self.general, name, private=private, starter=starter)
        self.gateway.dispatch("THREAD_CREATE", self.world.channels[thread_id] | {"newly_created": True})
        if starter is not None:
            self.world.add_message(thread_id, self.bot_id, "", reference=starter, type_=21)
        return thread_id

    def post_message(
        self,
        author: str,
        text: str,
        *,
        channel: str | None = None,
        reply_to: str | None = None,
        bot: bool = False,
    ) -> str:
        """Somebody writes; returns the message id. A reply notifies whom it answers, as it does by default."""
        channel_id = channel or self.general
        user = self.world.user(author, bot=bot)
        message = self.world.add_message(channel_id, user["id"], text, reference=reply_to)
        if reply_to is not None:
            answered = self.world.messages[channel_id][reply_to]["author"]
            if answered not in message["mentions"]:
                message["mentions"] = [*message["mentions"], answered]
        self.rest.dispatch_message("MESSAGE_CREATE", message)
        return str(message["id"])

    def mention(self, author: str, text: str, *, channel: str | None = None, bot: bool = False) -> str:
        return self.post_message(author, f"<@{self.bot_id}> {text}", channel=channel, bot=bot)

    def reply(self, author: str, text: str, *, to: str, channel: str | None = None) -> str:
        return self.post_message(author, text, channel=channel, reply_to=to)

    def dm(self, author: str, text: str) -> str:
        return self.post_message(author, text, channel=self.dm_channel(author))

    def dm_channel(self, name: str) -> str:
        return self.world.dm_with(self.world.user(name)["id"])

    def edit(self, message_id: str, text: str) -> None:
        message = self._message(message_id)
        message |= {
            key: value
            for key, value in self.world.build_message(
                message["channel_id"], message["author"]["id"], text
            ).items()
            if key in ("content", "mentions", "mention_roles")
        }
        message["edited_timestamp"] = now_text()
        self.rest.dispatch_message("MESSAGE_UPDATE", message)

    def show_preview(self, message_id: str) -> None:
        """Discord adds a link preview to a message by itself."""
        message = self._message(message_id)
        message["embeds"] = [{"type": "link", "url": "https://example.org", "title": "Example"}]
        self.rest.dispatch_message("MESSAGE_UPDATE", message)

    def delete(self, message_id: str) -> None:
        self.rest.remove_message(self._message(message_id))

    def delete_many(self, message_ids: Sequence[str]) -> None:
        channel_id = self._message(message_ids[0])["channel_id"]
        for message_id in message_ids:
            del self.world.messages[channel_id][message_id]
        guild_id = self.world.guild_id_of(channel_id)
        self.gateway.dispatch(
            "MESSAGE_DELETE_BULK", {"ids": list(message_ids), "channel_id": channel_id, "guild_id": guild_id}
        )

    def react(self, author: str, message_id: str, emoji: str, *, bot: bool = False) -> None:
        """Add an emoji: a character, or the name of one of the server's own."""
        message = self._message(message_id)
        data = self._reaction(author, message, emoji, bot=bot) | {
            "message_author_id": message["author"]["id"]
        }
        if "guild_id" in data:
            data["member"] = self.world.member() | {"user": self.world.user(author)}
        self.gateway.dispatch("MESSAGE_REACTION_ADD", data)

    def unreact(self, author: str, message_id: str, emoji: str) -> None:
        self.gateway.dispatch(
            "MESSAGE_REACTION_REMOVE", self._reaction(author, self._message(message_id), emoji)
        )

    def _reaction(self, author: str, message: Json, emoji: str, *, bot: bool = False) -> Json:
        guild_id = self.world.guild_id_of(message["channel_id"])
        custom = {"id": self.world.next_id(), "name": emoji}
        return {
            "user_id": self.world.user(author, bot=bot)["id"],
            "channel_id": message["channel_id"],
            "message_id": message["id"],
            "emoji": custom if emoji.isascii() else {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
        } | ({"guild_id": guild_id} if guild_id else {})

    def slash_ask(
        self, author: str, question: str, *, channel: str | None = None, private: bool | None = None
    ) -> str:
        """`/ask`; returns the interaction id."""
        options: list[Json] = [{"name": "question", "type": 3, "value": question}]
        if private is not None:
            options.append({"name": "private", "type": 5, "value": private})
        return self.slash("ask", author, channel=channel, options=options)

    def slash(
        self, name: str, author: str, *, channel: str | None = None, options: Sequence[Json] = ()
    ) -> str:
        command = next((c for c in self.rest.commands if c["name"] == name), {"id": "1", "name": name})
        data = {"id": command["id"], "name": name, "type": 1, "options": list(options)}
        return self._interact(2, author, channel or self.general, data, command=name)

    def click_feedback(self, author: str, message_id: str, mark: Literal["up", "down"]) -> str:
        """Click a thumb under the bot's message; returns the interaction id."""
        message = self._message(message_id)
        ids = [button["custom_id"] for row in message["components"] for button in row["components"]]
        custom_id = next(id_ for id_ in ids if id_.endswith(mark))
        return self._interact(
            3, author, message["channel_id"], {"custom_id": custom_id, "component_type": 2}, message=message
        )

    def submit_modal(self, author: str, interaction_id: str, text: str) -> str:
        """Send the form that a click was answered with; returns the new interaction id."""
        asked = self.interaction(interaction_id)
        if asked.form is None:
            raise LookupError("this interaction was not answered with a form")
        field = asked.form["components"][0]["component"]["custom_id"]
        typed = {"type": 4, "custom_id": field, "id": 2, "value": text}
        components = [{"type": 18, "id": 1, "component": typed}]
        data = {"custom_id": asked.form["custom_id"], "components": components}
        return self._interact(5, author, asked.channel_id, data)

    def _interact(
        self,
        type_: int,
        author: str,
        channel_id: str,
        data: Json,
        *,
        command: str | None = None,
        message: Json | None = None,
    ) -> str:
        world, user, id_ = self.world, self.world.user(author), self.world.next_id()
        interaction = Interaction(id_, f"token-{id_}", type_, channel_id, user["id"], command)
        world.interactions[interaction.token] = interaction
        guild_id = world.guild_id_of(channel_id)
        payload: Json = {
            "id": id_,
            "application_id": world.application_id,
            "type": type_,
            "token": interaction.token,
            "version": 1,
            "channel_id": channel_id,
            "channel": world.channels[channel_id],
            "attachment_size_limit": 1 << 20,
            "authorizing_integration_owners": {"0": guild_id or "0"},
            "entitlements": [],
            "locale": "en-US",
            "data": data,
        }
        if message is not None:
            payload["message"] = message
        if guild_id:
            member = world.member() | {"user": user, "permissions": "0"}
            guild = {"id": guild_id, "locale": "en-US", "features": []}
            payload |= {"guild_id": guild_id, "guild": guild, "context": 0, "member": member}
        else:
            payload |= {"context": 1, "user": user}
        self.gateway.dispatch("INTERACTION_CREATE", payload)
        return id_

    def _message(self, message_id: str) -> Json:
        message = self.world.find_message(message_id)
        if message is None:
            raise LookupError(f"there is no message {message_id}")
        return message

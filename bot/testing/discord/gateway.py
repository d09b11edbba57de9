"""The loopback gateway v10: hello, identify, heartbeats, dispatch by intents, resume with replay."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from bot.testing.discord.world import DM, Json, World

MESSAGE_CONTENT = 1 << 15
INTENTS: dict[str, tuple[int, int]] = {
    "GUILD": (1 << 0, 0),
    "CHANNEL": (1 << 0, 0),
    "THREAD": (1 << 0, 0),
    "MESSAGE_REACTION": (1 << 10, 1 << 13),
    "MESSAGE": (1 << 9, 1 << 12),
    "INTERACTION": (0, 0),
}
"""By the beginning of an event's name: the intent it takes in a server, and in a DM; 0 for none."""
REPLAYED_EVENTS = 2000


@dataclass
class Session:
    """One identified client; it outlives its connection so that it can be resumed."""

    intents: int
    shard: tuple[int, int] = (0, 1)
    id: str = field(default_factory=lambda: uuid4().hex)
    sequence: int = 0
    sent: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=REPLAYED_EVENTS))
    outbox: asyncio.Queue[str] | None = None

    def dispatch(self, name: str, data: Json) -> None:
        self.sequence += 1
        frame = json.dumps({"t": name, "s": self.sequence, "op": 0, "d": data})
        self.sent.append((self.sequence, frame))
        if self.outbox is not None:
            self.outbox.put_nowait(frame)


class Gateway:
    """All sessions. `heartbeats_answered` off plays a connection that is half dead; `identify_closes_with`
    answers the next sessions with a close code; `shards` is what Discord recommends."""

    def __init__(self, world: World, token: str, *, heartbeat_seconds: float) -> None:
        self._world = world
        self._token = token
        self._heartbeat_seconds = heartbeat_seconds
        self.url = ""
        self.sessions: dict[str, Session] = {}
        self.identifies = 0
        self.resumes = 0
        self.message_content_allowed = True
        self.identify_closes_with: int | None = None
        self.shards = 1
        self.heartbeats_answered = True
        self.guild_is_late = False
        self._sockets: set[web.WebSocketResponse] = set()
        self._dropped: set[web.WebSocketResponse] = set()

    def dispatch(self, name: str, data: Json) -> None:
        """Send an event to every session whose intents ask for it."""
        for session in self.sessions.values():
            if self._is_told(session, data) and self._wanted(name, data, session.intents):
                session.dispatch(name, self._seen_by(session, name, data))

    @property
    def connected(self) -> list[Session]:
        """The sessions that somebody listens to right now."""
        return [session for session in self.sessions.values() if session.outbox is not None]

    def forget_sessions(self) -> None:
        """None of them can be resumed any more."""
        self.sessions.clear()

    async def drop_connections(self, code: int = 4000) -> None:
        """Close every connection; sessions stay and can be resumed."""
        self._dropped |= self._sockets
        for socket in list(self._sockets):
            await socket.close(code=code)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        outbox: asyncio.Queue[str] = asyncio.Queue()
        writer = asyncio.create_task(_write(socket, outbox))
        interval = int(self._heartbeat_seconds * 1000)
        outbox.put_nowait(json.dumps({"t": None, "s": None, "op": 10, "d": {"heartbeat_interval": interval}}))
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    session = await self._take(json.loads(frame.data), socket, outbox) or session
        finally:
            self._sockets.discard(socket)
            was_dropped = socket in self._dropped
            self._dropped.discard(socket)
            writer.cancel()
            if session is not None and session.outbox is outbox:
                session.outbox = None
                if not was_dropped and socket.close_code in (1000, 1001):
                    # Whoever leaves in order ends the session with it.
                    self.sessions.pop(session.id, None)
        return socket

    async def _take(
        self, frame: Json, socket: web.WebSocketResponse, outbox: asyncio.Queue[str]
    ) -> Session | None:
        op: int = frame["op"]
        data: Any = frame.get("d")
        if op == 1:
            if self.heartbeats_answered:
                outbox.put_nowait(json.dumps({"t": None, "s": None, "op": 11, "d": None}))
        elif op in (2, 6) and data["token"] != self._token:
            await socket.close(code=4004)
        elif op == 2:
            self.identifies += 1
            code = self.identify_closes_with
            if data["intents"] & MESSAGE_CONTENT and not self.message_content_allowed:
                code = 4014
            if code is not None:
                await socket.close(code=code)
            else:
                return self._identify(data, outbox)
        elif op == 6:
            return self._resume(data, outbox)
        return None

    def _identify(self, data: Json, outbox: asyncio.Queue[str]) -> Session:
        number, count = data.get("shard") or (0, 1)
        session = Session(data["intents"], (number, count), outbox=outbox)
        self.sessions[session.id] = session
        world = self._world
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": world.bot,
                "guilds": [{"id": world.guild_id, "unavailable": True}] if self._tells_guild(session) else [],
                "session_id": session.id,
                "shard": [number, count],
                "resume_gateway_url": self.url,
                "application": {"id": world.application_id, "flags": 0},
            },
        )
        if self._tells_guild(session) and not self.guild_is_late:
            session.dispatch("GUILD_CREATE", world.guild())
        return session

    def send_guild(self) -> None:
        """What a session gets right after READY, unless `guild_is_late`."""
        self.dispatch("GUILD_CREATE", self._world.guild())

    def _resume(self, data: Json, outbox: asyncio.Queue[str]) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if session is None:
            outbox.put_nowait(json.dumps({"t": None, "s": None, "op": 9, "d": False}))
            return None
        self.resumes += 1
        session.outbox = outbox
        for sequence, frame in session.sent:
            if sequence > data["seq"]:
                outbox.put_nowait(frame)
        session.dispatch("RESUMED", {})
        return session

    def _tells_guild(self, session: Session) -> bool:
        number, count = session.shard
        return self._world.has_bot and (int(self._world.guild_id) >> 22) % count == number

    def _is_told(self, session: Session, data: Json) -> bool:
        """A server's events go to its shard, direct messages to the first."""
        in_server = bool(data.get("guild_id")) or data.get("id") == self._world.guild_id
        return self._tells_guild(session) if in_server else session.shard[0] == 0

    def _wanted(self, name: str, data: Json, intents: int) -> bool:
        needed = next(value for prefix, value in INTENTS.items() if name.startswith(prefix))
        in_server = name.startswith("GUILD") or bool(data.get("guild_id"))
        intent = needed[0] if in_server else needed[1]
        return intent == 0 or bool(intents & intent)

    def _seen_by(self, session: Session, name: str, data: Json) -> Json:
        """Without the text where the content intent is missing and the message is not for the bot."""
        if session.intents & MESSAGE_CONTENT or name not in ("MESSAGE_CREATE", "MESSAGE_UPDATE"):
            return data
        for_bot = any(user["id"] == self._world.bot["id"] for user in (*data["mentions"], data["author"]))
        in_dm = self._world.channels[data["channel_id"]]["type"] == DM
        return data if for_bot or in_dm else data | {"content": "", "embeds": [], "components": []}


async def _write(socket: web.WebSocketResponse, outbox: asyncio.Queue[str]) -> None:
    while True:
        frame = await outbox.get()
        if socket.closed:
            return
        await socket.send_str(frame)

"""From the gateway's frames to the sink: messages and reactions, parsed, put in order and stored."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

import discord
import structlog

from bot.adapter import AdapterError, Sink
from bot.discord.events import (
    REPLY,
    Place,
    mentioned_ids,
    parse_channel,
    parse_deletions,
    parse_edit,
    parse_message,
    parse_root,
    root_to_look_up,
)
from bot.discord.feedback import parse_reaction
from bot.discord.hearing import Hearing
from bot.discord.places import may_read, place_of
from bot.discord.rest import ChannelCalls
from bot.gaps import Fate
from core.errors import StorageUnavailableError
from core.messages import Channel, Event, MessageHeard, MessagePosted, Rating, channel_of, order_key_of

FIRST_RETRY_SECONDS = 0.2
SLOWEST_RETRY_SECONDS = 5.0
ATTEMPTS = 5
REMEMBERED_ROOTS = 10_000
DEFAULT_HEARTBEAT_SECONDS = 41.25
GUILD_WAIT_SECONDS = 5.0
GUILD_POLL_SECONDS = 0.05
GAP_WAIT_SECONDS = 30.0
"""How long a message waits for what was missed before it in its channel."""
PLACES = frozenset({"READY", "GUILD_CREATE", "GUILD_DELETE", "CHANNEL_CREATE", "THREAD_CREATE"})

log = structlog.get_logger(__name__)


class EventReceiver:
    """Takes frames from the client and puts Events into the sink.

    Events with one order key are stored one after the other, all others side by side. The gateway has no
    acknowledgement: while the store is away, what has arrived waits here. What `hearing` is told is stored.
    """

    def __init__(
        self,
        client: discord.Client,
        calls: ChannelCalls,
        hearing: Hearing,
        sink: Sink,
        self_id: str,
        ratings: Mapping[str, Rating],
    ) -> None:
        self._client = client
        self._calls = calls
        self._hearing = hearing
        self._sink = sink
        self._self_id = self_id
        self._ratings = ratings
        self._session_id = ""
        self._heartbeat_seconds = DEFAULT_HEARTBEAT_SECONDS
        self._last_frame_at = 0.0
        self._roots: OrderedDict[str, str] = OrderedDict()
        self._lanes: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._storing: set[asyncio.Task[bool]] = set()
        self._closing = asyncio.Event()
        self.on_place: Callable[[str, dict[str, Any]], None] = lambda name, payload: None
        """Told of READY and of servers, channels and threads that come, as soon as they do."""

    def attach(self, client: discord.Client) -> None:
        """The client whose frames come from now on, and which knows their channels."""
        self._client = client

    def is_alive(self, longest_silence_seconds: float) -> bool:
        """Whether the gateway spoke lately: it answers every heartbeat, however quiet the channels are."""
        return time.monotonic() - self._last_frame_at < self._heartbeat_seconds + longest_silence_seconds

    async def drain(self, timeout_seconds: float) -> None:
        """Let what is being stored be stored; whatever waits for a lost store is given up."""
        self._closing.set()
        if self._storing:
            await asyncio.wait(self._storing, timeout=timeout_seconds)

    # --- frames -----------------------------------------------------------------------------------

    async def take_frame(self, frame: str) -> None:
        self._last_frame_at = time.monotonic()
        self._hearing.note_frame()
        content = json.loads(frame)
        name, payload = content.get("t"), content.get("d")
        if content.get("op") == 10:
            self._heartbeat_seconds = payload["heartbeat_interval"] / 1000
            self._hearing.note_connection()
        elif name == "RESUMED":
            self._hearing.note_session(resumed=True)
        elif name in PLACES:
            if name == "READY":
                self._session_id = str(payload["session_id"])
                self._hearing.note_session(resumed=False)
            self.on_place(name, payload)
        elif name == "MESSAGE_CREATE":
            self._hearing.begin(str(payload["channel_id"]), str(payload["id"]))
            await self._take_message(payload)
        elif name is not None and name.startswith("MESSAGE_"):
            await self._wait_for_guild(payload)
            await self._take_message_frame(name, payload, content["s"])

    async def _take_message(self, payload: dict[str, Any]) -> None:
        """A new message: behind what was missed in its channel, and noted once it is stored."""
        await self._wait_for_guild(payload)
        await self._hearing.released(str(payload["channel_id"]), GAP_WAIT_SECONDS)
        if event := await self._read_posted(payload):
            self._put(event, payload)

    async def take_missed(self, payload: dict[str, Any], oldest: datetime) -> Fate:
        """A message that was read back: through the same gate as those that arrive by themselves."""
        self._hearing.begin(str(payload["channel_id"]), str(payload["id"]))
        await self._wait_for_guild(payload)
        event = await self._read_posted(payload)
        if event is None:
            return "not_for_us"
        if isinstance(event, MessageHeard):
            await self._put(event, payload)
            return "not_for_us"
        if event.message.at < oldest:
            self._finish(payload)
            return "too_old"
        return "found" if await self._put(event, payload) else "known"

    async def _take_message_frame(self, name: str, payload: dict[str, Any], sequence: int) -> None:
        if name == "MESSAGE_UPDATE":
            payload, roots = await self._look_up(payload)
            if event := parse_edit(payload, self._place(payload), self._self_id, roots):
                self._put(event)
        elif name in ("MESSAGE_DELETE", "MESSAGE_DELETE_BULK"):
            for deletion in parse_deletions(payload, self._place(payload), datetime.now(UTC)):
                self._put(deletion)
        elif name in ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"):
            mark = parse_reaction(
                payload,
                self._place(payload),
                self._self_id,
                self._ratings,
                removed=name.endswith("REMOVE"),
                delivery_id=f"reaction/{self._session_id}/{sequence}",
                at=datetime.now(UTC),
            )
            if mark is not None:
                self._put(mark)

    async def _read_posted(self, payload: dict[str, Any]) -> MessagePosted | MessageHeard | None:
        """The event of a new message; what is none, or cannot be understood, is done with at once."""
        event: MessagePosted | MessageHeard | None = None
        try:
            payload, roots = await self._look_up(payload)
            event = parse_message(payload, self._place(payload), self._self_id, roots)
        except Exception:
            self._finish(payload)
            raise
        if event is None:
            self._finish(payload)
        elif isinstance(event, MessagePosted) and event.message.thread.id == event.message.id:
            self._remember_root(event.message.id, event.message.id)
        return event

    async def _look_up(self, payload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """What a reply needs to find its Thread: the message that it answers, and where that one leads."""
        roots: dict[str, str] = {}
        place = self._place(payload)
        if payload.get("type") == REPLY and payload.get("guild_id") and not place.is_thread:
            if "referenced_message" not in payload:
                payload = {**payload, "referenced_message": await self._referenced(payload)}
            if root := root_to_look_up(payload, self._self_id):
                roots[root] = await self._root(str(payload["channel_id"]), root)
        return payload, roots

    async def _wait_for_guild(self, payload: Mapping[str, Any]) -> None:
        """Right after connecting, messages may come before the library knows their channel."""
        guild_id = payload.get("guild_id")
        for _ in range(int(GUILD_WAIT_SECONDS / GUILD_POLL_SECONDS)):
            guild = self._client.get_guild(int(guild_id)) if guild_id else None
            if guild is None or not guild.unavailable:
                return
            await asyncio.sleep(GUILD_POLL_SECONDS)

    async def _referenced(self, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        reference = payload.get("message_reference") or {}
        try:
            return await self._calls.fetch_message(
                str(reference.get("channel_id") or payload["channel_id"]), str(reference["message_id"])
            )
        except (AdapterError, KeyError):
            return None

    async def _root(self, channel_id: str, message_id: str) -> str:
        """The Thread that the message began: its own, unless it is our answer to a command."""
        if message_id not in self._roots:
            try:
                found = parse_root(await self._calls.fetch_message(channel_id, message_id), self._self_id)
            except AdapterError:
                return message_id
            self._remember_root(message_id, found)
        return self._roots[message_id]

    def _remember_root(self, message_id: str, root: str) -> None:
        self._roots[message_id] = root
        if len(self._roots) > REMEMBERED_ROOTS:
            self._roots.popitem(last=False)

    def _place(self, payload: Mapping[str, Any]) -> Place:
        return place_of(
            self._client,
            payload.get("guild_id"),
            payload["channel_id"],
            names=mentioned_ids(payload.get("content") or ""),
            with_role=bool(payload.get("mention_roles")),
        )

    # --- into the sink ----------------------------------------------------------------------------

    def channel_of(self, payload: Mapping[str, Any]) -> Channel:
        """Where a payload happened, as far as the library knows the place."""
        return parse_channel(payload, self._place(payload))

    def may_read(self, guild_id: str, channel_id: str) -> bool:
        """Whether the bot can see what is said there, as far as the library knows."""
        return may_read(self._client, guild_id, channel_id)

    def _finish(self, payload: Mapping[str, Any]) -> None:
        self._hearing.finish(self.channel_of(payload), str(payload["id"]))

    def _put(self, event: Event, payload: Mapping[str, Any] | None = None) -> asyncio.Task[bool]:
        """Store the event, behind all earlier ones with its order key. `payload`: of a new message. The
        result says whether it was new."""
        key = (channel_of(event).id, order_key_of(event))
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = asyncio.Lock()
        storing = asyncio.create_task(self._store(event, lane, payload))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        return storing

    async def _store(self, event: Event, lane: asyncio.Lock, payload: Mapping[str, Any] | None) -> bool:
        async with lane:
            new = await self._store_at_last(event)
        if new is not None and payload is not None:
            self._finish(payload)
        return bool(new)

    async def _store_at_last(self, event: Event) -> bool | None:
        """Whether it was new; None: we are leaving, and it is not stored."""
        wait, attempt = FIRST_RETRY_SECONDS, 1
        while True:
            try:
                return await self._sink(event)
            except StorageUnavailableError:
                log.warning("event_waits_for_store", kind=event.kind)
            except Exception:
                log.exception("event_not_stored", kind=event.kind, attempt=attempt)
                if attempt == ATTEMPTS:
                    return False
                attempt += 1
            if self._closing.is_set():
                return None
            await asyncio.sleep(wait)
            wait = min(wait * 2, SLOWEST_RETRY_SECONDS)

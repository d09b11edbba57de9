"""ChannelMessages on PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, Row

from core.knowledge.channel_messages import (
    ChannelHistory,
    Talk,
    WatchedChannel,
    parse_channel_location,
    source_of,
)
from core.messages import Author, Channel, Message, Thread
from core.storage import channel_statements as sql
from core.storage.base import to_storable_text
from core.storage.database import Database

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class PostgresChannelMessages:
    """Implements core.knowledge.channel_messages.ChannelMessages. Raises StorageUnavailableError from every
    method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watched(self) -> list[WatchedChannel]:
        return [_channel(row.uri, row.private) for row in await self._database.run(sql.WATCHED)]

    async def record(self, messages: Sequence[Message]) -> int:
        latest = {(m.thread.channel.id, m.id): m for m in sorted(messages, key=_version)}
        if not latest:
            return 0
        said = [latest[place] for place in sorted(latest)]
        rows = await self._database.run(
            sql.RECORD,
            {
                "sources": [source_of(m.thread.channel).uri for m in said],
                "platforms": [m.thread.channel.platform for m in said],
                "workspaces": [m.thread.channel.workspace for m in said],
                "places": [m.thread.channel.id for m in said],
                "ids": [m.id for m in said],
                "threads": [m.thread.id for m in said],
                "author_ids": [to_storable_text(m.author.id) for m in said],
                "authors": [to_storable_text(m.author.name) for m in said],
                "texts": [to_storable_text(m.text) for m in said],
                "said_ats": [m.at for m in said],
                "versions": [_version(m) for m in said],
            },
        )
        return int(rows[0].changed)

    async def remove(self, channel: Channel, message_ids: Sequence[str]) -> int:
        these = {"place": channel.id, "ids": list(message_ids)}
        place = {"platform": channel.platform, "workspace": channel.workspace}
        await self._database.run(sql.MARK_REMOVED, {**place, **these, "source": source_of(channel).uri})
        return await self._erase(sql.REMOVE, channel.platform, channel.workspace, **these)

    async def forget_author(self, platform: str, workspace: str, author: str) -> int:
        return await self._erase(sql.FORGET_AUTHOR, platform, workspace, author=author)

    async def forget_thread(self, thread: Thread) -> int:
        channel = thread.channel
        place = {"place": channel.id, "thread": thread.id}
        return await self._erase(sql.FORGET_THREAD, channel.platform, channel.workspace, **place)

    async def _erase(self, statement: Executable, platform: str, workspace: str, **place: object) -> int:
        rows = await self._database.run(statement, {"platform": platform, "workspace": workspace, **place})
        return int(rows[0].removed)

    async def talks(self, source_id: int) -> list[Talk]:
        rows = await self._database.run(sql.TALKS, {"source_id": source_id})
        return [Talk.model_construct(**row._mapping) for row in rows]

    async def messages_of(self, source_id: int, talk: Talk, uri: str) -> list[Message]:
        parameters: dict[str, Any] = {"source_id": source_id}
        if _DAY.fullmatch(talk.key):
            parameters["day"] = datetime.fromisoformat(talk.key).replace(tzinfo=UTC)
            rows = await self._database.run(sql.DAY, parameters)
        else:
            rows = await self._database.run(sql.THREAD, {**parameters, "key": talk.key})
        messages = [_message(row) for row in rows]
        ids, threads = [m.id for m in messages], sorted({m.thread.id for m in messages})
        note = {"source_id": source_id, "uri": uri, "ids": ids, "threads": threads}
        await self._database.run(sql.NOTE_DOCUMENT, note)
        return messages

    async def open_history(self, source_id: int, *, first_read_seconds: float) -> None:
        await self._database.run(sql.OPEN_HISTORY, {"source_id": source_id, "seconds": first_read_seconds})

    async def histories(self, *, due: bool = False) -> list[ChannelHistory]:
        found = []
        for row in await self._database.run(sql.HISTORIES, {"due": due}):
            facts = dict(row._mapping)
            channel = _channel(facts.pop("uri"), facts.pop("private"))
            found.append(ChannelHistory(channel=channel, **facts))
        return found

    async def note_history(self, history: ChannelHistory, *, next_read_seconds: float | None = None) -> None:
        facts = history.model_dump(exclude={"channel"})
        more = {"private": history.channel.private, "seconds": next_read_seconds}
        await self._database.run(sql.NOTE_HISTORY, {**facts, **more})


def _version(message: Message) -> datetime:
    return max(message.at, message.edited_at or message.at)


def _channel(uri: str, private: bool) -> WatchedChannel:
    found = parse_channel_location(uri)
    assert found is not None  # noqa: S101 - only such uris are sources of this kind
    return found.model_copy(update={"private": private})


def _message(row: Row[Any]) -> Message:
    channel = Channel(platform=row.platform, workspace=row.workspace, id=row.place)
    return Message(
        id=row.message_id,
        thread=Thread(channel=channel, id=row.thread_id),
        author=Author(id=row.author_id, name=row.author),
        text=row.text,
        at=row.said_at,
    )

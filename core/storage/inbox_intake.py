"""The way into the inbox: events that arrive together share one statement and one commit.

A single event is written at once. While a write is under way the next events gather, and go together:
a burst costs few round trips, and the wait of each is two writes at most.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from core.errors import StorageUnavailableError
from core.messages import (
    EVENTS,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageHeard,
    MessagePosted,
    asker_of,
    channel_of,
    order_key_of,
)
from core.storage.database import Database

MOST_AT_ONCE = 200
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# What is known already, by delivery or by message, is passed over, also within one batch.
PUT = text(
    """
    insert into inbox (platform, workspace, channel, order_key, delivery_id, message_id, kind, asker, event)
    select platform, workspace, channel, order_key, delivery_id, message_id, kind, asker, event
    from rows from (jsonb_to_recordset(:rows) as (
        platform text, workspace text, channel text, order_key text, delivery_id text, message_id text,
        kind text, asker text, event jsonb
    )) with ordinality as arrived (
        platform, workspace, channel, order_key, delivery_id, message_id, kind, asker, event, place
    )
    order by place
    on conflict do nothing
    returning platform, delivery_id
    """
).bindparams(bindparam("rows", type_=JSONB))

Waiting = tuple[dict[str, Any], asyncio.Future[bool]]


class InboxIntake:
    """Writes events through the ingress pool, many at once when many wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def put(self, event: Event) -> bool:
        """True once the event is committed, False if it was known. Raises StorageUnavailableError."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((columns_of(event), written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await written

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
                await self._write([(row, written) for row, written in batch if not written.done()])
        finally:
            self._writing = None

    async def _write(self, batch: list[Waiting]) -> None:
        try:
            rows = await self._database.run(
                PUT, {"rows": [row for row, _ in batch]}, pool=self._database.ingress
            )
        except StorageUnavailableError as error:
            _settle(batch, error)
        except Exception as error:
            # One row that the database refuses must not take the others with it.
            if len(batch) == 1:
                _settle(batch, error)
            for alone in batch if len(batch) > 1 else ():
                await self._write([alone])
        except BaseException:
            _settle(batch, StorageUnavailableError("the process is leaving"))
            raise
        else:
            new = {(row.platform, row.delivery_id) for row in rows}
            for row, written in batch:
                key = (row["platform"], row["delivery_id"])
                if not written.done():
                    written.set_result(key in new)
                new.discard(key)  # the same delivery twice in one batch is new once


def _settle(batch: list[Waiting], error: Exception) -> None:
    for _, written in batch:
        if not written.done():
            written.set_exception(error)


def columns_of(event: Event) -> dict[str, Any]:
    """The row of an event."""
    channel = channel_of(event)
    message_id = None
    if isinstance(event, MessagePosted | MessageHeard | MessageEdited):
        message_id = event.message.id
    elif isinstance(event, MessageDeleted):
        message_id = event.message_id
    return {
        "platform": channel.platform,
        "workspace": channel.workspace,
        "channel": channel.id,
        "order_key": order_key_of(event),
        "delivery_id": event.delivery_id,
        "message_id": message_id,
        "kind": event.kind,
        "asker": storable(asker_of(event)),
        "event": storable(_dump(event)),
    }


def _dump(event: Event) -> dict[str, Any]:
    """As JSON. What is not so of a message is not said: the version before, which may work on the same inbox,
    refuses a word that it does not know."""
    dumped: dict[str, Any] = EVENTS.dump_python(event, mode="json")
    message = dumped.get("message")
    if message is not None:
        _leave_out(message, "edited_at", "confined")
        _leave_out(message["thread"]["channel"], "outsiders")
    elif "channel" in dumped:
        _leave_out(dumped["channel"], "outsiders")
    return dumped


def _leave_out(part: dict[str, Any], *names: str) -> None:
    for name in names:
        if not part[name]:
            del part[name]


def storable(value: Any) -> Any:
    """Without the code points that PostgreSQL's text cannot hold: NUL and lone surrogates."""
    if isinstance(value, str):
        return UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {name: storable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [storable(part) for part in value]
    return value

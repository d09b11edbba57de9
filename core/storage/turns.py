"""Turns in Postgres: the record of what was said, what threads remember of it, and forgetting it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from core.answers import Turn, turn_id_of
from core.errors import LeaseLostError
from core.inbox import Claim
from core.messages import Channel, Thread
from core.ports import Effect, Forgotten, Recollection
from core.storage import erasing
from core.storage import turn_statements as sql
from core.storage.database import Database
from core.storage.fencing import fence_of
from core.storage.outbox import OF_TURN, columns_of, effect_of, key_of

MAYBE_VISIBLE = ("sending", "ambiguous", "sent")

log = structlog.get_logger(__name__)


class PostgresTurnStore:
    """Implements core.ports.TurnStore. `traces_again_seconds`: when removed traces are removed once more."""

    def __init__(self, database: Database, *, traces_again_seconds: float = 600.0) -> None:
        self._database = database
        self._traces_again = timedelta(seconds=traces_again_seconds)

    async def record(self, claim: Claim, turn: Turn) -> None:
        if not await self._database.run(sql.RECORD, {**fence_of(claim), **_columns_of(turn)}):
            raise LeaseLostError(f"inbox item {claim.id} is no longer ours (fence {claim.fence})")

    async def get(self, turn_id: UUID) -> Turn | None:
        rows = await self._database.run(sql.GET, {"of_turn": turn_id})
        return Turn.model_validate(rows[0].record) if rows else None

    async def takes_part(self, thread: Thread) -> bool:
        return bool(await self._database.run(sql.TAKES_PART, _key_of(thread)))

    async def recent_threads(self, platform: str, *, limit: int) -> list[Thread]:
        rows = await self._database.run(sql.RECENT_THREADS, {"of_platform": platform, "most": limit})
        return [Thread.model_validate(row.thread) for row in rows]

    async def recall(self, thread: Thread, *, limit: int) -> Recollection:
        rows = await self._database.run(sql.RECALL, {**_key_of(thread), "most": limit})
        return Recollection(
            summary=rows[0].summary or "",
            summary_turns=rows[0].turns or 0,
            turns=tuple((row.id, row.question, row.answer) for row in rows if row.id is not None),
        )

    async def remember_summary(
        self, thread: Thread, summary: str, through: UUID, *, base: Recollection | None = None
    ) -> bool:
        turn_ids = [through] if base is None else turns_through(base, through)
        parameters = {
            **_key_of(thread),
            "new_summary": summary,
            "turn_ids": turn_ids,
            "turn_count": len(turn_ids),
            "base_turns": None if base is None else base.summary_turns,
        }
        return bool(await self._database.run(sql.REMEMBER_SUMMARY, parameters))

    async def forget_message(self, channel: Channel, message_id: str) -> list[Effect]:
        turn_id = turn_id_of(channel, message_id)
        message = {**key_of(channel), "of_message": message_id}
        turn = {"of_turn": turn_id}
        grave = {**columns_of(channel), "message_id": message_id, "turn_id": turn_id}
        async with self._database.transaction() as connection:
            await connection.execute(sql.lock_turn(turn_id))
            await connection.execute(sql.BURY, grave)
            await connection.execute(sql.CANCEL, message)
            erased = (await connection.execute(sql.FORGET_TURN, turn)).one_or_none()
            if erased is not None:
                await connection.execute(sql.FORGET_SUMMARY, erased._asdict())
                reworded = (await connection.execute(sql.UNSAY, erased._asdict())).scalars().all()
                for traced_id in (turn_id, *reworded):
                    await connection.execute(sql.REMEMBER_TRACE, {"of_turn": traced_id})
            await connection.execute(sql.FORGET_FEEDBACK, turn)
            effects = [effect_of(row) for row in await connection.execute(OF_TURN, turn)]
            await connection.execute(sql.EMPTY_OUTBOX, turn)
        log.info("message_forgotten", turn_id=str(turn_id), had_turn=erased is not None)
        return [effect for effect in effects if effect.state in MAYBE_VISIBLE]

    async def forget_author(self, platform: str, workspace: str, author: str) -> Forgotten:
        place = {"in_platform": platform, "in_workspace": workspace, "of_author": author}
        return await self._erase(erasing.AUTHOR, place)

    async def forget_thread(self, thread: Thread) -> Forgotten:
        return await self._erase(erasing.THREAD, _key_of(thread))

    async def forget_workspace(self, platform: str, workspace: str) -> Forgotten:
        return await self._erase(erasing.WORKSPACE, {"in_platform": platform, "in_workspace": workspace})

    async def _erase(self, scope: erasing.Scope, place: dict[str, str]) -> Forgotten:
        """Message by message, so that what is cut short can be begun again and goes on where it stopped."""
        (counts,) = await self._database.run(scope.counts, place)
        effects: list[Effect] = []
        for row in await self._database.run(scope.targets, place):
            channel = Channel(platform=place["in_platform"], workspace=place["in_workspace"], id=row.channel)
            effects += await self.forget_message(channel, row.message_id)
        async with self._database.transaction() as connection:
            for statement in scope.remains:
                await connection.execute(statement, place)
        log.info("erased", turns=counts.turns, feedback=counts.feedback, events=counts.events)
        return Forgotten(
            turns=counts.turns, feedback=counts.feedback, events=counts.events, effects=tuple(effects)
        )

    async def traces_to_forget(self, limit: int) -> list[UUID]:
        return [row.turn_id for row in await self._database.run(sql.TRACES_DUE, {"most": limit})]

    async def mark_traces_forgotten(self, turn_ids: Collection[UUID]) -> None:
        these = {"turn_ids": list(turn_ids)}
        async with self._database.transaction() as connection:
            await connection.execute(sql.DROP_TRACES, these)
            await connection.execute(sql.LOOK_AGAIN, {**these, "again": self._traces_again})

    async def is_deleted(self, channel: Channel, message_id: str) -> bool:
        return bool(await self._database.run(sql.IS_DELETED, {**key_of(channel), "of_message": message_id}))

    async def export(self) -> AsyncIterator[Turn]:
        position = -1
        while rows := await self._database.run(sql.EXPORT, {"after": position}):
            for row in rows:
                yield Turn.model_validate(row.record)
            position = rows[-1].position


def turns_through(base: Recollection, through: UUID) -> list[UUID]:
    """The ids of the turns in the recollection up to and including `through`."""
    ids = [turn_id for turn_id, _, _ in base.turns]
    return ids[: ids.index(through) + 1] if through in ids else [through]


def _key_of(thread: Thread) -> dict[str, str]:
    return {**key_of(thread.channel), "in_thread": thread.id}


def _columns_of(turn: Turn) -> dict[str, Any]:
    return {
        **columns_of(turn.thread.channel),
        "thread_id": turn.thread.id,
        "id": turn.id,
        "question_message_id": turn.question_message_id,
        "author_id": turn.author.id,
        "outcome": turn.outcome,
        "question": turn.question,
        "answer": turn.answer.text,
        "record": turn.model_dump(mode="json"),
        "asked_at": turn.asked_at,
        "answered_at": turn.answered_at,
    }

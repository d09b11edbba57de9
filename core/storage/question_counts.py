"""How many questions each person has asked, in Postgres: one statement a question, the same for all processes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Integer, Text, bindparam, text

from core.limits import QuestionCount
from core.storage.database import Database

# The commit does not wait for the disk: what a crash of the server forgets is a count.
COUNT = text("""
INSERT INTO question_counts AS known (platform, workspace, person, minute, day)
VALUES (:platform, :workspace, :person, date_trunc('minute', least(:asked_at, clock_timestamp())),
        (clock_timestamp() AT TIME ZONE 'UTC')::date)
ON CONFLICT (platform, workspace, person) DO UPDATE SET
    in_minute = CASE WHEN known.minute < excluded.minute THEN 1
                     WHEN known.minute = excluded.minute THEN known.in_minute + 1
                     ELSE known.in_minute END,
    in_day = CASE WHEN known.day <> excluded.day THEN 1
                  WHEN known.minute = excluded.minute AND known.in_minute >= :per_minute THEN known.in_day
                  ELSE known.in_day + 1 END,
    minute = greatest(known.minute, excluded.minute),
    day = excluded.day
RETURNING CASE WHEN minute > :asked_at THEN 0 ELSE in_minute END AS in_minute, in_day,
          set_config('synchronous_commit', 'off', true)
""").bindparams(
    *(bindparam(name, type_=Text) for name in ("platform", "workspace", "person")),
    bindparam("per_minute", type_=Integer),
    bindparam("asked_at", type_=DateTime(timezone=True)),
)


class PostgresQuestionCounter:
    """Implements core.limits.QuestionCounter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(
        self, platform: str, workspace: str, person: str, *, asked_at: datetime, per_minute: int | None
    ) -> QuestionCount:
        parameters = {
            "asked_at": asked_at,
            "platform": platform,
            "workspace": workspace,
            "person": person,
            "per_minute": per_minute,
        }
        (row,) = await self._database.run(COUNT, parameters)
        return QuestionCount(in_minute=row.in_minute, in_day=row.in_day)

"""The budget in Postgres: money is set aside before a call and settled after it, whichever process calls."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Numeric, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import INTERVAL

from core.errors import BudgetSpentError
from core.limits import Caps
from core.messages import Payer
from core.storage.database import Database

RESERVED_SECONDS = 300.0
NANODOLLAR = Decimal("1e-9")

# The lock is taken by a statement of its own: the next one then sees what its last holder has committed.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('spending', 0) # hashtextextended(:key, 0))")

RESERVE = text("""
WITH today AS (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day),
used AS (
    SELECT scope, id, usd FROM spending, today
    WHERE platform = :platform AND workspace = :workspace AND spending.day = today.day
      AND (scope, id) IN (('workspace', ''), ('channel', :channel), ('person', :person))
    UNION ALL
    SELECT s.scope, s.id, r.usd FROM today, spending_reservations r
    CROSS JOIN LATERAL (VALUES ('workspace', ''), ('channel', r.channel), ('person', r.person)) s (scope, id)
    WHERE r.platform = :platform AND r.workspace = :workspace AND r.day = today.day
      AND r.expires_at > clock_timestamp()
), verdict AS (
    SELECT CASE
        WHEN :person <> '' AND :usd + coalesce(sum(usd) FILTER (WHERE scope = 'person' AND id = :person), 0)
             > :person_usd THEN 'person'
        WHEN :usd + coalesce(sum(usd) FILTER (WHERE scope = 'channel' AND id = :channel), 0)
             > :channel_usd THEN 'channel'
        WHEN :usd + coalesce(sum(usd) FILTER (WHERE scope = 'workspace'), 0)
             > :workspace_usd THEN 'workspace'
    END AS refused FROM used
), made AS (
    INSERT INTO spending_reservations (id, platform, workspace, channel, person, day, usd, expires_at)
    SELECT :id, :platform, :workspace, :channel, :person, today.day, :usd, clock_timestamp() + :lasts
    FROM today, verdict WHERE refused IS NULL
)
SELECT refused FROM verdict
""").bindparams(
    bindparam("id", type_=Uuid),
    bindparam("usd", type_=Numeric),
    bindparam("lasts", type_=INTERVAL),
    *(bindparam(name, type_=Numeric) for name in ("workspace_usd", "channel_usd", "person_usd")),
    *(bindparam(name, type_=Text) for name in ("platform", "workspace", "channel", "person")),
)
"""A cap that is null refuses nothing: a comparison with it is never true."""

SETTLE = text("""
WITH gone AS (DELETE FROM spending_reservations WHERE id = :id RETURNING *),
old AS (
    DELETE FROM spending_reservations r USING gone
    WHERE r.platform = gone.platform AND r.workspace = gone.workspace AND r.day < gone.day - 1
), forgotten AS (
    DELETE FROM spending s USING gone
    WHERE s.platform = gone.platform AND s.workspace = gone.workspace AND s.day < gone.day - 31
)
INSERT INTO spending (platform, workspace, day, scope, id, usd)
SELECT platform, workspace, day, s.scope, s.id, :usd
FROM gone CROSS JOIN LATERAL (VALUES (1, 'workspace', ''), (2, 'channel', channel), (3, 'person', person))
     s (place, scope, id)
WHERE s.scope <> 'person' OR s.id <> ''
ORDER BY s.place
ON CONFLICT (platform, workspace, day, scope, id) DO UPDATE SET usd = spending.usd + excluded.usd
""").bindparams(bindparam("id", type_=Uuid), bindparam("usd", type_=Numeric))
"""Adds nothing the second time: the reservation is gone then."""


class PostgresBudget:
    """Implements core.limits.Budget. Reservations of one workspace are made one after the other."""

    def __init__(self, database: Database, caps: Caps, *, reserved_seconds: float = RESERVED_SECONDS) -> None:
        self._database = database
        self._caps = caps
        self._reserved_seconds = reserved_seconds

    @property
    def reserved_seconds(self) -> float:
        return self._reserved_seconds

    async def reserve(self, payer: Payer, usd: float) -> UUID:
        reservation = uuid4()
        parameters: dict[str, Any] = {
            "id": reservation,
            "usd": _to_decimal(usd),
            "lasts": timedelta(seconds=self._reserved_seconds),
            **payer.model_dump(),
            **{name: None if cap is None else _to_decimal(cap) for name, cap in self._caps},
        }
        async with self._database.transaction() as connection:
            await connection.execute(LOCK, {"key": f"{payer.platform}/{payer.workspace}"})
            refused = (await connection.execute(RESERVE, parameters)).scalar_one()
        if refused is not None:
            raise BudgetSpentError(refused)
        return reservation

    async def settle(self, reservation: UUID, usd: float) -> None:
        await self._database.run(SETTLE, {"id": reservation, "usd": _to_decimal(usd)})


def _to_decimal(usd: float) -> Decimal:
    return Decimal(repr(usd)).quantize(NANODOLLAR)

"""Leases and allowances in Postgres, by its clock alone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, Row, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from core.leases import Lease
from core.storage.database import Database
from core.storage.lease_tables import AllowanceUseRow, LeaseRow

_until = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("lease_seconds", type_=Float))
_wanted = insert(LeaseRow).values(
    name=bindparam("of_name"), owner=bindparam("of_owner"), fence=1, held_until=_until
)
_ACQUIRE = _wanted.on_conflict_do_update(
    index_elements=[LeaseRow.name],
    set_={"owner": _wanted.excluded.owner, "fence": LeaseRow.fence + 1, "held_until": _until},
    # Ours already: an earlier attempt whose answer was lost.
    where=or_(LeaseRow.held_until <= func.now(), LeaseRow.owner == _wanted.excluded.owner),
).returning(LeaseRow.__table__)
_ours = (
    LeaseRow.name == bindparam("of_name"),
    LeaseRow.owner == bindparam("of_owner"),
    LeaseRow.fence == bindparam("of_fence"),
)
_RENEW = update(LeaseRow).where(*_ours).values(held_until=_until).returning(LeaseRow.__table__)
_RELEASE = update(LeaseRow).where(*_ours).values(held_until=func.now())
_HOLDER = select(LeaseRow.__table__).where(
    LeaseRow.name == bindparam("of_name"), LeaseRow.held_until > func.now()
)


class PostgresLeases:
    """Implements core.leases.Leases. Every call is one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, owner: str, *, lease_seconds: float) -> Lease | None:
        place = {"of_name": name, "of_owner": owner, "lease_seconds": lease_seconds}
        return _lease_of(await self._database.run(_ACQUIRE, place))

    async def renew(self, lease: Lease, *, lease_seconds: float) -> Lease | None:
        return _lease_of(await self._database.run(_RENEW, {**_key_of(lease), "lease_seconds": lease_seconds}))

    async def release(self, lease: Lease) -> None:
        await self._database.run(_RELEASE, _key_of(lease))

    async def holder(self, name: str) -> Lease | None:
        return _lease_of(await self._database.run(_HOLDER, {"of_name": name}))


def _key_of(lease: Lease) -> dict[str, Any]:
    return {"of_name": lease.name, "of_owner": lease.owner, "of_fence": lease.fence}


def _lease_of(rows: Any) -> Lease | None:
    if not rows:
        return None
    row: Row[Any] = rows[0]
    return Lease(name=row.name, owner=row.owner, fence=row.fence, until=row.held_until)


_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:of_name, 7412))")
_long_ago = func.clock_timestamp() - func.make_interval(
    0, 0, 0, 0, 0, 0, bindparam("within_seconds", type_=Float)
)
_CLEAR = delete(AllowanceUseRow).where(
    AllowanceUseRow.name == bindparam("of_name"), AllowanceUseRow.used_at <= _long_ago
)
# The use that has to end before there is room: the oldest of the newest `at_most`.
_WAIT = (
    select(func.extract("epoch", AllowanceUseRow.used_at - _long_ago).label("seconds"))
    .where(AllowanceUseRow.name == bindparam("of_name"))
    .order_by(AllowanceUseRow.used_at.desc())
    .offset(bindparam("at_most") - 1)
    .limit(1)
)
_USE = insert(AllowanceUseRow).values(name=bindparam("of_name"), used_at=func.clock_timestamp())


class PostgresAllowances:
    """Implements core.leases.Allowances: one short transaction, one at a time for each name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, name: str, *, at_most: int, within_seconds: float) -> float:
        key = {"of_name": name}
        limits = {**key, "within_seconds": within_seconds}
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK, key)
            await connection.execute(_CLEAR, limits)
            waits = (await connection.execute(_WAIT, {**limits, "at_most": at_most})).scalar_one_or_none()
            if waits is not None:
                return max(0.001, float(waits))
            await connection.execute(_USE, key)
        return 0.0

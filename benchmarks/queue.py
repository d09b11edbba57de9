"""`python -m benchmarks.queue`: what it costs to take work from the inbox, and who waits for whom.

An embedded Postgres of its own. The first three measure single calls; the last lets four workers answer
500 questions of one person and one each of twenty others, with a "model" that takes 50 ms.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from core.messages import MessagePosted
from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.inbox import PostgresInbox
from core.testing.making import make_author, make_message, make_posted, make_thread

T = TypeVar("T")

ROUNDS = 300
ROWS = 100_000
IN_ONE_THREAD = 20_000
WORKERS, MODEL_SECONDS, FLOOD, OTHERS = 4, 0.05, 500, 20

FILL = text(
    """
    insert into inbox
        (platform, workspace, channel, order_key, delivery_id, message_id, kind, asker, behind, event)
    select 'console', 'W1', 'C1', :thread || case when :apart then n::text else '' end, :thread || n,
           :thread || n, 'message_posted', 'U' || n % 500, not :apart and n > 1,
           cast(:event as jsonb)
    from generate_series(1, :rows) as n
    """
)
QUICKLY = text("set session_replication_role = replica")
"""Without triggers: what they would set is in the rows already."""
TAKE = text("update inbox set state = 'running', fence = 1, attempts = 1 where state = 'queued'")
END = text("update inbox set state = 'done', event = null, finished_at = now() where state = 'running'")


@dataclass
class Measured:
    """Milliseconds of many calls."""

    put: list[float]
    claim: list[float]
    finish: list[float]

    def line(self, name: str) -> str:
        figures = ((label, getattr(self, label)) for label in ("put", "claim", "finish"))
        parts = (f"{label} p50 {statistics.median(ms):.1f} p95 {_p95(ms):.1f} ms" for label, ms in figures)
        return f"{name:<46} {'   '.join(parts)}"


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _question(asker: str, thread: str) -> MessagePosted:
    message = make_message(thread=make_thread(thread)).model_copy(update={"author": make_author(asker)})
    return make_posted(message)


async def _timed(call: Callable[[], Awaitable[object]], into: list[float]) -> object:
    began = time.perf_counter()
    result = await call()
    into.append(1000 * (time.perf_counter() - began))
    return result


async def measure_calls(inbox: PostgresInbox) -> Measured:
    """One question after the other through put, claim and finish."""
    measured = Measured([], [], [])
    for number in range(ROUNDS):
        event = _question(f"U{number % 50}", f"measured-{time.monotonic_ns()}")
        await _timed(lambda event=event: inbox.put(event), measured.put)  # type: ignore[misc]
        began = time.perf_counter()
        claims = await inbox.claim(platforms=["console"], limit=64, lease_seconds=600)
        measured.claim.append(1000 * (time.perf_counter() - began))
        for claim in claims:
            await _timed(lambda claim=claim: inbox.finish(claim, "answered"), measured.finish)  # type: ignore[misc]
    return measured


async def behind_an_old_transaction(database: Database) -> str:
    """All rows came and went while somebody else's transaction keeps their dead versions alive."""
    event = _question("U1", "T1").model_dump_json()
    async with database.maintenance() as other:
        await other.execution_options(isolation_level="REPEATABLE READ")
        await other.execute(text("select 1 from inbox limit 1"))
        async with database.maintenance() as connection:
            parameters = {"thread": "old", "apart": True, "event": event, "rows": ROWS}
            for statement, given in ((QUICKLY, {}), (FILL, parameters), (TAKE, {}), (END, {})):
                await connection.execute(statement, given)
        measured = await _with_inbox(database, measure_calls)
        await other.rollback()
    return measured.line(f"{ROWS:,} rows done, an old transaction open")


async def behind_a_long_thread(database: Database) -> str:
    """Many questions wait in one thread, whose first is being answered."""
    inbox = PostgresInbox(database)
    event = _question("U1", "T1").model_dump_json()
    await _fill(database, thread="long", apart=False, event=event, rows=IN_ONE_THREAD)
    await inbox.claim(platforms=["console"], limit=1, lease_seconds=3600)
    measured = await measure_calls(inbox)
    await inbox.aclose()
    return measured.line(f"{IN_ONE_THREAD:,} queued in one thread")


async def behind_a_backlog(database: Database) -> str:
    """As many threads wait, and one of them at a time is taken."""
    event = _question("U1", "T1").model_dump_json()
    await _fill(database, thread="backlog", apart=True, event=event, rows=ROWS)
    inbox = PostgresInbox(database)
    measured = Measured([], [], [])
    for number in range(ROUNDS):
        event_now = _question(f"U{number % 50}", f"late-{number}")
        await _timed(lambda event=event_now: inbox.put(event), measured.put)  # type: ignore[misc]
        began = time.perf_counter()
        (claim,) = await inbox.claim(platforms=["console"], limit=1, lease_seconds=600)
        measured.claim.append(1000 * (time.perf_counter() - began))
        await _timed(lambda claim=claim: inbox.finish(claim, "answered"), measured.finish)  # type: ignore[misc]
    await inbox.aclose()
    return measured.line(f"{ROWS:,} queued in as many threads")


async def beside_a_flood(database: Database) -> str:
    """How long twenty people wait alone, and beside one who asks 500 questions just before them."""
    alone = await _with_inbox(database, lambda inbox: _waits(inbox, flood=0))
    beside = await _with_inbox(database, lambda inbox: _waits(inbox, flood=FLOOD))
    return (
        f"{OTHERS} people's waits: alone p95 {_p95(alone):.0f} ms,"
        f" beside {FLOOD} questions of one person p95 {_p95(beside):.0f} ms"
        f" ({_p95(beside) / _p95(alone):.1f} times)"
    )


async def _waits(inbox: PostgresInbox, *, flood: int) -> list[float]:
    asked: dict[str, float] = {}
    waits: list[float] = []

    async def work() -> None:
        while len(waits) < OTHERS:
            for claim in await inbox.claim(platforms=["console"], limit=1, lease_seconds=600):
                await asyncio.sleep(MODEL_SECONDS)
                if claim.event.delivery_id in asked:
                    waits.append(1000 * (time.perf_counter() - asked[claim.event.delivery_id]))
                await inbox.finish(claim, "answered")

    await asyncio.gather(*(inbox.put(_question("busy", f"busy-{n}")) for n in range(flood)))
    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]
    await asyncio.sleep(4 * MODEL_SECONDS if flood else 0)
    for number in range(OTHERS):
        event = _question(f"other-{number}", f"other-{number}")
        asked[event.delivery_id] = time.perf_counter()
        await inbox.put(event)
    await asyncio.gather(*workers)
    return waits


async def _fill(database: Database, **parameters: object) -> None:
    async with database.maintenance() as connection:
        await connection.execute(QUICKLY)
        await connection.execute(FILL, parameters)


async def _with_inbox(database: Database, work: Callable[[PostgresInbox], Awaitable[T]]) -> T:
    inbox = PostgresInbox(database)
    try:
        return await work(inbox)
    finally:
        await inbox.aclose()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = await start_embedded_postgres(Path(folder))
        database = Database(server.url)
        await database.migrate()
        for scenario in (behind_an_old_transaction, behind_a_long_thread, behind_a_backlog, beside_a_flood):
            await database.run(text("truncate inbox"))
            sys.stdout.write(await scenario(database) + "\n")
        await database.aclose()
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main())

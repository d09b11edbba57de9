"""A worker dies in the middle of its work, or sleeps through its lease: nothing is lost, nothing is written twice."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator

import pytest

from core.inbox import Claim
from core.messages import Event
from core.storage.database import Database
from core.storage.inbox import PostgresInbox
from core.storage.outbox import PostgresOutbox
from core.storage.turns import PostgresTurnStore
from core.testing.making import make_effect, make_message, make_posted, make_turn

LEASE_SECONDS = 1.0
WORKER = """
import asyncio, sys
from core.errors import LeaseLostError
from core.storage.database import Database
from core.storage.inbox import PostgresInbox
from core.storage.outbox import PostgresOutbox
from core.storage.turns import PostgresTurnStore
from core.testing.making import make_effect, make_turn

async def main():
    database = Database(sys.argv[1])
    inbox, outbox, turns = PostgresInbox(database), PostgresOutbox(database), PostgresTurnStore(database)
    (claim,) = await inbox.claim(platforms=["console"], limit=1, lease_seconds=float(sys.argv[2]))
    message = claim.event.message
    await outbox.plan(claim, [make_effect(message)])
    print(claim.fence, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    refused = []
    for name, write in (
        ("plan", outbox.plan(claim, [make_effect(message, part=1)])),
        ("set_state", outbox.set_state(claim, make_effect(message).id, "sent", "posted-by-zombie")),
        ("record", turns.record(claim, make_turn(message, answer="from the zombie"))),
        ("finish", inbox.finish(claim, "answered")),
    ):
        try:
            await write
        except LeaseLostError:
            refused.append(name)
    print(*refused, flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def inbox(database: Database) -> AsyncIterator[PostgresInbox]:
    inbox = PostgresInbox(database)
    yield inbox
    await inbox.aclose()


async def start_worker(database_url: str) -> tuple[asyncio.subprocess.Process, int]:
    """A process that has claimed the only item and planned its answer; the fence that it got."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        database_url,
        str(LEASE_SECONDS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    async with asyncio.timeout(60):
        return worker, int(await worker.stdout.readline())


async def take_over(inbox: PostgresInbox) -> Claim:
    """Claim what the dead worker had, once its lease has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        await inbox.sweep()
        claims = await inbox.claim(platforms=["console"], limit=1, lease_seconds=60)
        if claims:
            return claims[0]
        await asyncio.sleep(0.05)
    raise AssertionError("nobody could take over")


async def test_the_work_of_a_killed_worker_is_taken_over(
    database: Database, database_url: str, inbox: PostgresInbox
) -> None:
    event: Event = make_posted()
    await inbox.put(event)
    worker, fence = await start_worker(database_url)
    assert await inbox.claim(platforms=["console"], limit=1, lease_seconds=60) == []
    worker.kill()
    await worker.wait()

    claim = await take_over(inbox)

    assert claim.event == event
    assert claim.attempts == 2
    assert claim.fence > fence
    await inbox.finish(claim, "answered")


async def test_a_worker_that_slept_through_its_lease_writes_nothing(
    database: Database, database_url: str, inbox: PostgresInbox
) -> None:
    message = make_message()
    outbox, turns = PostgresOutbox(database), PostgresTurnStore(database)
    await inbox.put(make_posted(message))
    zombie, _ = await start_worker(database_url)
    zombie.send_signal(signal.SIGSTOP)
    claim = await take_over(inbox)
    (effect,) = await outbox.plan(claim, [make_effect(message)])
    await outbox.set_state(claim, effect.id, "sent", "posted-by-us")
    await turns.record(claim, make_turn(message, answer="from us"))

    zombie.send_signal(signal.SIGCONT)
    output, _ = await asyncio.wait_for(zombie.communicate(b"\n"), 60)

    assert output.decode().split() == ["plan", "set_state", "record", "finish"]
    (stored,) = await outbox.of_turn(effect.turn_id)
    assert (stored.state, stored.message_id) == ("sent", "posted-by-us")
    turn = await turns.get(effect.turn_id)
    assert turn is not None
    assert turn.answer.text == "from us"
    await inbox.finish(claim, "answered")

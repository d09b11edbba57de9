"""A question that kills the process it is answered in: three times, not more, and everybody else is served."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from core import notices
from core.storage.database import Database
from core.storage.inbox import PostgresInbox
from core.testing.making import make_message, make_posted, make_thread

WORKER = """
import asyncio, os, sys
from bot.answering import Answering
from bot.dispatcher import Dispatcher
from bot.forgetting import Forgetting
from bot.giving_up import GivingUp
from bot.handling import Handling
from bot.metrics import Metrics
from bot.rating import Rating
from bot.refusals import Refusals
from bot.replies import Replies
from bot.testing.adapter import InMemoryAdapter
from bot.trace_upkeep import TraceUpkeep
from core.assistant import Assistant
from core.graph.build import build_graph
from core.memory import ThreadMemory
from core.storage.database import Database
from core.storage.feedback import PostgresFeedbackStore
from core.storage.inbox import PostgresInbox
from core.storage.outbox import PostgresOutbox
from core.storage.turns import PostgresTurnStore
from core.testing.making import make_passage
from core.testing.models import FakeChatModel
from core.testing.tracer import RecordingTracer

def reply(request):
    if "poison" in request.question:
        os.abort()
    return "Badges are handed out at the front desk [1]."

async def find(query, *, audience, context=""):
    return [make_passage()]

async def main():
    database = Database(sys.argv[1])
    inbox, outbox, turns = PostgresInbox(database), PostgresOutbox(database), PostgresTurnStore(database)
    feedback, tracer, metrics, model = PostgresFeedbackStore(database), RecordingTracer(), Metrics(), FakeChatModel(reply=reply)
    assistant = Assistant(build_graph(), [model], find, ThreadMemory(turns, model, budget_tokens=200),
        turn_timeout_seconds=60, max_question_characters=12000)
    adapters, refusals = {"console": InMemoryAdapter("console")}, Refusals(metrics)
    replies, traces = Replies(adapters, outbox, metrics, refusals), TraceUpkeep(feedback, turns, tracer)
    handling = Handling(inbox, Answering(replies, assistant, turns, outbox, tracer, metrics),
        Rating(feedback, turns, outbox, metrics), Forgetting(adapters, turns, outbox), GivingUp(replies, turns),
        traces, metrics, lease_seconds=1.0)
    dispatcher = Dispatcher(inbox, handling, traces, metrics, platforms=["console"], concurrency=1,
        lease_seconds=1.0, poll_seconds=0.1)
    dispatcher.start()
    await asyncio.to_thread(sys.stdin.readline)
    await dispatcher.stop()

asyncio.run(main())
"""

STATES = text("select state, crashes, ended_as from inbox order by id")
NOTICES = text("select body ->> 'text' as said, state from outbox where purpose = 'notice'")


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_question_that_kills_its_workers_ends_with_a_notice_and_others_are_answered(
    database: Database, database_url: str
) -> None:
    inbox = PostgresInbox(database)
    for number, asked in enumerate(("What is poison?", "Where do I get a badge?")):
        message = make_message(asked, thread=make_thread(f"T{number}"))
        await inbox.put(make_posted(message.model_copy(update={"at": datetime.now(UTC)})))
    deaths = 0
    async with asyncio.timeout(240):
        while not await is_over(database):
            assert deaths <= 3, "nobody dies of it once more"
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-c", WORKER, database_url, stdin=asyncio.subprocess.PIPE
            )
            while worker.returncode is None and not await is_over(database):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            deaths += worker.returncode is not None
            await worker.communicate(b"\n")
    assert deaths == 3
    poison, other = await database.run(STATES)
    assert (poison.crashes, other.ended_as) == (3, "answered")
    assert [(row.said, row.state) for row in await database.run(NOTICES)] == [(notices.BROKEN, "sent")]
    (parked,) = await inbox.parked()
    assert parked.text == "What is poison?"
    await inbox.aclose()


async def is_over(database: Database) -> bool:
    return [row.state for row in await database.run(STATES)] == ["parked", "done"]

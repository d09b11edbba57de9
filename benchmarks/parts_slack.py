"""The given parts on Slack, each used once and as sparely as it can be: what any bot made of them costs.

slack-bolt hands over the event, SQLAlchemy stores it, a LangGraph graph of three nodes embeds the question, finds
passages by their vectors and lets a model answer through LangChain, and SQLAlchemy stores the turn. Of what
Threadlore is made for, nothing: no lease, outbox, memory, hybrid search, audience, stream, check, trace or log.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TypedDict

import aiohttp
from langchain.chat_models import init_chat_model
from langgraph.graph import END, START, StateGraph
from pgvector import HalfVector
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncSay
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import JSON, Column, Integer, MetaData, Table, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.providers.local_embedder import LocalEmbedder
from core.storage.embedded import start_embedded_postgres

METADATA = MetaData()
EVENTS = Table("bench_events", METADATA, Column("id", Integer, primary_key=True), Column("body", JSON))
TURNS = Table("bench_turns", METADATA, Column("id", Integer, primary_key=True), Column("body", JSON))
NEAREST = text(
    "SELECT chunks.text FROM vectors_1 JOIN chunks ON chunks.id = vectors_1.chunk_id"
    " ORDER BY vectors_1.embedding <#> CAST(:vector AS halfvec) LIMIT 8"
)


class State(TypedDict, total=False):
    question: str
    passages: list[str]
    answer: str


async def main() -> None:
    home = Path(os.environ["THREADLORE_HOME"])
    postgres = await start_embedded_postgres(home)
    engine = create_async_engine(postgres.url)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    embedder = LocalEmbedder(home / "models")
    await embedder.open()
    model = init_chat_model("bench", model_provider="openai", use_responses_api=False, max_retries=0)

    async def search(state: State) -> State:
        vector = HalfVector([*await embedder.embed_query(state["question"])]).to_text()
        async with engine.connect() as connection:
            found = await connection.execute(NEAREST, {"vector": vector})
            return {"passages": list(found.scalars())}

    async def answer(state: State) -> State:
        prompt = "\n\n".join([*state["passages"], state["question"]])
        return {"answer": str((await model.ainvoke(prompt)).text)}

    async def check(state: State) -> State:
        return {"answer": state["answer"].strip()}

    graph = StateGraph(State)
    for name, node in (("search", search), ("answer", answer), ("check", check)):
        graph.add_node(name, node)
    graph.add_edge(START, "search")
    graph.add_edge("search", "answer")
    graph.add_edge("answer", "check")
    graph.add_edge("check", END)
    compiled = graph.compile()

    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(
            token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"], session=session
        )
        app = AsyncApp(client=client)

        @app.event("app_mention")
        async def take(event: dict[str, str], say: AsyncSay) -> None:
            await store(engine, EVENTS, event)
            state = await compiled.ainvoke({"question": event["text"]})
            await store(engine, TURNS, {"question": event["text"], "answer": state["answer"]})
            await say(text=state["answer"], thread_ts=event.get("thread_ts") or event["ts"])

        handler = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"])
        await handler.connect_async()  # type: ignore[no-untyped-call]
        await asyncio.Event().wait()


async def store(engine: AsyncEngine, table: Table, body: dict[str, str]) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(table).values(body=body))


if __name__ == "__main__":
    asyncio.run(main())

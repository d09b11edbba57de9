"""The loopback Langfuse itself, where other tests and the benchmark rely on more than its answers."""

from __future__ import annotations

import asyncio

import httpx

from core.testing.langfuse_server import LangfuseServer


async def test_a_request_that_waits_is_served_once_the_delay_is_taken_away() -> None:
    async with LangfuseServer() as server, httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        server.delay_seconds = 3600.0
        asking = asyncio.create_task(client.get("/api/public/health", auth=("pk", "sk")))
        async with asyncio.timeout(30):
            while not server.requests:  # noqa: ASYNC110 - the server tells only of what it has answered
                await asyncio.sleep(0.01)
            server.delay_seconds = 0.0
            assert (await asking).status_code == 200

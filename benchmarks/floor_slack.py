"""The floor on Slack: a bare slack-bolt handler that forwards the question to the model and posts the
answer. No database, no documents, no stream, no memory."""

from __future__ import annotations

import asyncio
import os

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncSay
from slack_sdk.web.async_client import AsyncWebClient


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(
            token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"], session=session
        )
        app = AsyncApp(client=client)

        @app.event("app_mention")
        async def answer(event: dict[str, str], say: AsyncSay) -> None:
            body = {"model": "bench", "messages": [{"role": "user", "content": event["text"]}]}
            url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
            async with session.post(url, json=body) as response:
                reply = await response.json()
            await say(
                text=reply["choices"][0]["message"]["content"],
                thread_ts=event.get("thread_ts") or event["ts"],
            )

        handler = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"])
        await handler.connect_async()  # type: ignore[no-untyped-call]
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

"""The floor on Discord: a bare discord.py handler that forwards the question to the model and replies.
No database, no documents, no stream, no memory."""

from __future__ import annotations

import asyncio
import os

import aiohttp
import discord
import yarl


class Bot(discord.Client):
    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, guild_messages=True, message_content=True),
            max_messages=None,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.session = session

    async def on_message(self, message: discord.Message) -> None:
        if message.author.bot or self.user not in message.mentions:
            return
        body = {"model": "bench", "messages": [{"role": "user", "content": message.content}]}
        url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
        async with self.session.post(url, json=body) as response:
            reply = await response.json()
        await message.reply(reply["choices"][0]["message"]["content"])


async def main() -> None:
    discord.http.Route.BASE = os.environ["DISCORD_API_URL"]
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    async with aiohttp.ClientSession() as session:
        await Bot(session).start(os.environ["DISCORD_TOKEN"])


if __name__ == "__main__":
    asyncio.run(main())

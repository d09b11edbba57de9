"""Posting, editing and deleting one message."""

from __future__ import annotations

from bot.adapter import Delivery, Rendered
from bot.slack.api import SlackApi
from bot.slack.errors import SlackRefusedError
from bot.slack.render import blocks_of, fallback_of, metadata_of
from core.messages import Channel


async def post_message(api: SlackApi, delivery: Delivery, rendered: Rendered) -> str:
    """Post into the thread, for everybody or for the asker's eyes only; returns the message id."""
    target = delivery.target
    body: dict[str, object] = {
        "channel": target.thread.channel.id,
        "thread_ts": target.thread.id,
        "text": fallback_of(rendered),
        "blocks": blocks_of(rendered),
    }
    if target.only_author_sees:
        body["user"] = target.asker.id
        answer = await api.post(target.thread.channel.workspace, "chat.postEphemeral", body)
        return str(answer["message_ts"])
    body |= {"metadata": metadata_of(delivery), "unfurl_links": False, "unfurl_media": False}
    answer = await api.post(target.thread.channel.workspace, "chat.postMessage", body)
    return str(answer["ts"])


async def update_message(api: SlackApi, delivery: Delivery, rendered: Rendered, message_id: str) -> None:
    """Give a posted message this content. One that is still streaming is stopped first."""
    channel = delivery.target.thread.channel
    body: dict[str, object] = {
        "channel": channel.id,
        "ts": message_id,
        "text": fallback_of(rendered),
        "blocks": blocks_of(rendered),
        "metadata": metadata_of(delivery),
    }
    try:
        await api.post(channel.workspace, "chat.update", body)
    except SlackRefusedError as refused:
        if "stream" not in refused.code:
            raise
        await api.post(channel.workspace, "chat.stopStream", {"channel": channel.id, "ts": message_id})
        await api.post(channel.workspace, "chat.update", body)


async def delete_message(api: SlackApi, channel: Channel, message_id: str) -> None:
    """Remove one of our messages."""
    await api.post(channel.workspace, "chat.delete", {"channel": channel.id, "ts": message_id})

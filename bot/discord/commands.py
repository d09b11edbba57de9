"""Slash commands: how `/ask` becomes an Event, and the handle through which its answer goes out. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from bot.discord.events import Payload, Place, parse_author, parse_channel
from core.messages import Frozen, Message, MessagePosted, Thread

EPOCH_MILLISECONDS = 1_420_070_400_000
TOKEN_LIFETIME = timedelta(minutes=15)
SAFETY_MARGIN = timedelta(seconds=20)

HELP = (
    "**Ask me about your team's documents.**\n"
    "- `/ask question:…` asks here; with `private:True` only you see the answer.\n"
    "- Mention me in a channel, or write to me directly.\n"
    "- Reply to my answer, or go on in the thread, to ask further: I remember what was said there.\n"
    "- 👍 and 👎 under an answer, as buttons or as reactions, tell my team how good it was."
)
THANKS = "Thank you, noted."
NOT_TAKEN = "I cannot take this right now. Please try again in a moment."


class InteractionHandle(Frozen):
    """What it takes to answer a command: valid for 15 minutes from its beginning."""

    application_id: str
    interaction_id: str
    token: str

    @property
    def began_at(self) -> datetime:
        return moment_of(self.interaction_id)

    def is_valid(self, now: datetime) -> bool:
        """Whether the token still serves, with a margin for the call itself."""
        return now < self.began_at + TOKEN_LIFETIME - SAFETY_MARGIN


def moment_of(snowflake: str) -> datetime:
    """When an id was made: Discord's ids begin with their time."""
    return datetime.fromtimestamp(((int(snowflake) >> 22) + EPOCH_MILLISECONDS) / 1000, UTC)


def parse_handle(reply_handle: str | None) -> InteractionHandle | None:
    """The handle of a command; None for messages, whose handle (if any) names a message to refer to."""
    if reply_handle is None:
        return None
    try:
        return InteractionHandle.model_validate_json(reply_handle)
    except ValidationError:
        return None


def parse_command(payload: Payload, place: Place, self_id: str) -> MessagePosted | None:
    """INTERACTION_CREATE of /ask. The command's own id stands for the message and, in a channel, the Thread.

    What only the asker sees is a Thread of its own everywhere: nobody else may come upon it in a memory.
    """
    options: dict[str, Any] = {o["name"]: o.get("value") for o in payload["data"].get("options", ())}
    if payload["data"].get("name") != "ask":
        return None
    channel = parse_channel(payload, place)
    is_private = bool(options.get("private"))
    is_thread = payload.get("guild_id") is None or (place.is_thread and not is_private)
    id_ = str(payload["id"])
    handle = InteractionHandle(
        application_id=str(payload["application_id"]), interaction_id=id_, token=str(payload["token"])
    )
    return MessagePosted(
        delivery_id=f"interaction/{id_}",
        message=Message(
            id=id_,
            thread=Thread(channel=channel, id=channel.id if is_thread else id_),
            author=parse_author(payload["user"], self_id, payload.get("member")),
            text=str(options.get("question") or "").strip(),
            at=moment_of(id_),
        ),
        addressing="command",
        only_author_sees=is_private,
        reply_handle=handle.model_dump_json(),
    )

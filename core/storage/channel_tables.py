"""What was said in channels that are sources, and how far back each has been read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base
from core.storage.tables import INSTANT, NOW


def _source(*, is_key: bool = False) -> Mapped[int]:
    return mapped_column(
        BigInteger, ForeignKey("sources.id", ondelete="CASCADE"), nullable=False, primary_key=is_key
    )


class ChannelMessageRow(Base):
    """One message. `place` is the channel that it was said in: the source's own, or one that is a part of it.
    `document_uri` names the document that holds it. Of a removed one only its id is left, so that it does not
    come back."""

    __tablename__ = "channel_messages"
    __table_args__ = (
        PrimaryKeyConstraint("platform", "workspace", "place", "message_id"),
        Index("ix_channel_messages_thread", "source_id", "thread_id"),
        Index("ix_channel_messages_said_at", "source_id", "said_at"),
    )

    platform: Mapped[str]
    workspace: Mapped[str]
    place: Mapped[str]
    message_id: Mapped[str]
    source_id: Mapped[int] = _source()
    thread_id: Mapped[str]
    author_id: Mapped[str] = mapped_column(server_default="")
    author: Mapped[str] = mapped_column(server_default="")
    said_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    version: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    changes: Mapped[int] = mapped_column(server_default=text("0"))
    document_uri: Mapped[str | None]
    removed: Mapped[bool] = mapped_column(server_default=text("false"))
    text: Mapped[str] = mapped_column(server_default="")  # last: it hides the function of this name


class ChannelHistoryRow(Base):
    """How far back a channel has been read (core.knowledge.channel_messages.ChannelHistory)."""

    __tablename__ = "channel_histories"

    source_id: Mapped[int] = _source(is_key=True)
    name: Mapped[str] = mapped_column(server_default="")
    address: Mapped[str] = mapped_column(server_default="")
    private: Mapped[bool] = mapped_column(server_default=text("true"))
    cursor: Mapped[str | None]
    newest: Mapped[str | None]
    until: Mapped[str | None]
    is_whole: Mapped[bool] = mapped_column(server_default=text("false"))
    error: Mapped[str | None]
    next_read_at: Mapped[datetime] = mapped_column(INSTANT)

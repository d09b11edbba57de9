"""How far the channels of a platform have been heard."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base
from core.storage.tables import INSTANT, NOW


class ChannelPositionRow(Base):
    """The newest message heard in a channel. Its id is a decimal number (core.listening.position_of)."""

    __tablename__ = "channel_positions"

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    channel_private: Mapped[bool]
    channel_parent: Mapped[str | None]
    message_id: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class HeardWorkspaceRow(Base):
    """The moment up to which everything said in a workspace has reached us."""

    __tablename__ = "heard_workspaces"

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    heard_until: Mapped[datetime] = mapped_column(INSTANT)

"""The tables of what people may use: money by day and scope, money set aside for calls, questions counted."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base
from core.storage.tables import INSTANT

USD = Numeric(20, 10)


class SpendingRow(Base):
    """What model calls of one UTC day have cost: for a workspace, and for each channel and person in it.

    `id` is the channel's or the person's, empty for the workspace as a whole.
    """

    __tablename__ = "spending"
    __table_args__ = (CheckConstraint("scope in ('workspace', 'channel', 'person')", name="scope"),)

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    usd: Mapped[Decimal] = mapped_column(USD)


class SpendingReservationRow(Base):
    """Money set aside for a call that is under way. It counts until it is settled or expires; a row that has
    expired stays for a day, so that a late settlement still finds it."""

    __tablename__ = "spending_reservations"
    __table_args__ = (Index("ix_spending_reservations_workspace", "platform", "workspace", "day"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    platform: Mapped[str]
    workspace: Mapped[str]
    channel: Mapped[str]
    person: Mapped[str]
    day: Mapped[date]
    usd: Mapped[Decimal] = mapped_column(USD)
    expires_at: Mapped[datetime] = mapped_column(INSTANT)


class QuestionCountRow(Base):
    """How many questions somebody has asked in the minute and on the UTC day of their last one."""

    __tablename__ = "question_counts"

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(INSTANT)
    in_minute: Mapped[int] = mapped_column(server_default=text("1"))
    day: Mapped[date]
    in_day: Mapped[int] = mapped_column(server_default=text("1"))

"""What processes agree on: leases, and how often something was done lately."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base
from core.storage.tables import INSTANT


class LeaseRow(Base):
    """Who does something alone, until when. The row stays when the lease has ended, so that `fence` grows."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    fence: Mapped[int] = mapped_column(BigInteger)
    held_until: Mapped[datetime] = mapped_column(INSTANT)


class AllowanceUseRow(Base):
    """One use of an allowance; it goes once it no longer counts."""

    __tablename__ = "allowance_uses"
    __table_args__ = (Index("ix_allowance_uses_name", "name", "used_at"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    used_at: Mapped[datetime] = mapped_column(INSTANT)

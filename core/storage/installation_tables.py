"""Where a platform's app is installed, and installations that are under way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base
from core.storage.tables import INSTANT, NOW


class InstallationRow(Base):
    """One installation. `data` is the platform's own, tokens included: it leaves with the installation."""

    __tablename__ = "installations"

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    installed_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class InstallationStateRow(Base):
    """A one-time state that ties the end of an installation to its beginning."""

    __tablename__ = "installation_states"

    platform: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(INSTANT, index=True)

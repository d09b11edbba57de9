"""All tables in one place: migrations read `metadata` from here. A new module of tables adds one import."""

from __future__ import annotations

from core.storage import (  # noqa: F401 (registers all tables)
    channel_tables,
    installation_tables,
    knowledge_tables,
    lease_tables,
    position_tables,
    spending_tables,
    tables,
)
from core.storage.base import Base

metadata = Base.metadata

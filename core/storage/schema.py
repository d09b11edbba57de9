"""All tables in one place: migrations read `metadata` from here. A new module of tables adds one import."""

from __future__ import annotations

from core.storage import installation_tables, knowledge_tables, tables  # noqa: F401 (registers all tables)
from core.storage.base import Base

metadata = Base.metadata

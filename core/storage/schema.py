"""All tables in one place: migrations read `metadata` from here. A new module of tables adds one import."""

from __future__ import annotations

from core.storage import tables  # noqa: F401 (registers the tables of the road)
from core.storage.base import Base

metadata = Base.metadata

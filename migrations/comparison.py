"""How models and database are compared, the same for autogenerate and for the check."""

from __future__ import annotations

from typing import Any

from core.storage.schema import metadata

OWNED = frozenset(metadata.tables)


def _include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Tables of others in the same database are none of our business."""
    return name in OWNED if kind == "table" else True


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "include_name": _include_name,
    "compare_type": True,
    "compare_server_default": True,
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
}

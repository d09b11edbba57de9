"""How much memory the embedded Postgres may keep pages in: a share of what the machine, or its container, has."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 8
LEAST_BYTES = 128 * 2**20
MOST_BYTES = 4 * 2**30
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def choose_shared_buffers(limit_file: Path = CONTAINER_LIMIT) -> str:
    """PostgreSQL's shared_buffers. With the 128 MB it takes by itself, searching a million chunks is several times
    slower; pages are only touched as the data grows."""
    wanted = _memory_bytes(limit_file) // SHARE
    return f"{max(LEAST_BYTES, min(wanted, MOST_BYTES)) // 2**20}MB"


def _memory_bytes(limit_file: Path) -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(limit_file.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return machine

"""The embedded Postgres takes its share of the memory there is, and never more than a container allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.storage.server_memory import choose_shared_buffers


@pytest.mark.parametrize(
    ("limit", "chosen"),
    [(2**30, "128MB"), (2**20, "128MB"), (2 * 2**30, "256MB")],
)
def test_a_container_gives_an_eighth_of_what_it_may_use(tmp_path: Path, limit: int, chosen: str) -> None:
    file = tmp_path / "memory.max"
    file.write_text(f"{limit}\n")
    assert choose_shared_buffers(file) == chosen


@pytest.mark.parametrize("content", ["max\n", None])
def test_without_a_limit_it_is_a_share_of_the_machine(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "memory.max"
    if content:
        file.write_text(content)
    assert 128 <= int(choose_shared_buffers(file).removesuffix("MB")) <= 4096

"""The same corpus is embedded once; what was damaged or belongs to another model is embedded again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from core.evaluation.kept_vectors import KeepingEmbedder
from core.testing.embedder import FakeEmbedder

TEXTS = ["one text", "another text"]


class CountingEmbedder(FakeEmbedder):
    calls = 0

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        self.calls += 1
        return await super().embed_documents(texts)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_a_list_of_texts_is_embedded_once(tmp_path: Path) -> None:
    model = CountingEmbedder()
    first = await KeepingEmbedder(model, tmp_path / "vectors").embed_documents(TEXTS)
    second = await KeepingEmbedder(model, tmp_path / "vectors").embed_documents(TEXTS)
    assert model.calls == 1
    for one, other in zip(first, second, strict=True):
        assert other == pytest.approx(one, abs=1e-6)


async def test_other_texts_and_the_same_in_another_division_are_embedded(tmp_path: Path) -> None:
    model = CountingEmbedder()
    keeping = KeepingEmbedder(model, tmp_path)
    await keeping.embed_documents(["ab", "c"])
    await keeping.embed_documents(["a", "bc"])
    assert model.calls == 2


async def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    model = CountingEmbedder()
    keeping = KeepingEmbedder(model, tmp_path)
    expected = await keeping.embed_documents(TEXTS)
    [kept] = files_in(tmp_path)
    kept.write_bytes(kept.read_bytes()[:40])
    assert await keeping.embed_documents(TEXTS) == expected
    assert model.calls == 2


async def test_nothing_is_kept_of_no_texts(tmp_path: Path) -> None:
    assert await KeepingEmbedder(FakeEmbedder(), tmp_path).embed_documents([]) == []
    assert files_in(tmp_path) == []

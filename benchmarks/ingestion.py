"""`python -m benchmarks.ingestion FOLDER`: what taking documents in costs beside embedding them, what a sync costs
that finds nothing changed, and how memory grows with the number of documents. Nothing here is a test."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from core.evaluation.kept_vectors import EmbedderAround
from core.knowledge.chunking import ChunkingPolicy
from core.knowledge.ingest import Ingestor
from core.ports import Embedder
from core.providers.local_embedder import LocalEmbedder
from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder

FEW, MANY = 1_000, 100_000
SHARE_AIM, SYNC_AIM, MEMORY_AIM = 0.9, 50.0, 1.1


class NotedEmbedder(EmbedderAround):
    """Passes everything on, and remembers the texts."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self.calls: list[Sequence[str]] = []

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        self.calls.append(texts)
        return await super().embed_documents(texts)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[PostgresKnowledgeStore]:
    server = await start_embedded_postgres(home, durable=False)
    database = Database(server.url)
    try:
        await database.migrate()
        yield PostgresKnowledgeStore(database)
    finally:
        await database.aclose()
        await server.stop()


async def measure_share(folder: Path, home: Path) -> dict[str, float]:
    """Chunks a second of the first sync, and of the embedder alone with the same texts right before and right after
    it; how many times longer the first sync took than the second."""
    noted = NotedEmbedder(FakeEmbedder())
    async with opened(home / "noted") as store:
        await Ingestor(store, noted, chunking=ChunkingPolicy()).sync([str(folder)])
    local = LocalEmbedder(home / "models")
    await local.open()
    before = await embed_alone(local, noted.calls)
    async with opened(home / "share") as store:
        ingestor = Ingestor(store, local, chunking=ChunkingPolicy())
        first = await ingestor.sync([str(folder)])
        again = await ingestor.sync([str(folder)])
    if again.unchanged != first.documents:
        raise RuntimeError(f"{again.unchanged} of {first.documents} documents were unchanged")
    alone = (before + await embed_alone(local, noted.calls)) / 2
    await local.aclose()
    return {
        "documents": first.documents,
        "chunks": first.chunks,
        "chunks_a_second": first.chunks / first.seconds,
        "share": alone / first.seconds,
        "sync_ratio": first.seconds / again.seconds,
    }


async def embed_alone(embedder: Embedder, calls: Sequence[Sequence[str]]) -> float:
    """Seconds for these calls with nothing around them."""
    began = time.monotonic()
    for texts in calls:
        await embedder.embed_documents(texts)
    return time.monotonic() - began


async def take_in_made_up(documents: int, home: Path) -> None:
    """A folder of short documents, embedded by hashing; prints the peak of this process's memory, in MB."""
    with tempfile.TemporaryDirectory() as made:
        for number in range(documents):
            inside = Path(made) / f"{number // 1000}"
            inside.mkdir(exist_ok=True)
            text = f"# Page {number}\n\n" + f"What is said on page {number} is said once. " * 12
            (inside / f"{number}.md").write_text(text)
        async with opened(home) as store:
            embedder: Embedder = FakeEmbedder()
            report = await Ingestor(store, embedder, chunking=ChunkingPolicy()).sync([made])
    sys.stdout.write(
        json.dumps({"peak_mb": peak_megabytes(), "seconds": report.seconds, "documents": report.documents})
    )


def peak_megabytes() -> float:
    """The most memory that this process has had. Not ru_maxrss, which begins with that of the process before exec."""
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    return int(peak) / 1024


async def measure_memory(documents: int, home: Path) -> dict[str, float]:
    """The same in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.ingestion", "--made-up", str(documents), "--home", str(home)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    figures: dict[str, float] = json.loads(out.decode().splitlines()[-1])
    if figures["documents"] != documents:
        raise RuntimeError(f"{figures['documents']} of {documents} documents were taken in")
    return figures


async def main(folder: Path, many: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        share = await measure_share(folder, home)
        few = await measure_memory(FEW, home / "few")
        lots = await measure_memory(many, home / "many")
    table = Table("what", "measured", "aim")
    table.add_row("documents, chunks", f"{share['documents']:,.0f}, {share['chunks']:,.0f}", "")
    table.add_row("chunks a second", f"{share['chunks_a_second']:.1f}", "")
    table.add_row("share of the embedder alone", f"{share['share']:.2f}", f"≥ {SHARE_AIM}")
    table.add_row("first sync to an unchanged one", f"{share['sync_ratio']:.0f}x", f"≥ {SYNC_AIM:g}x")
    growth = lots["peak_mb"] / few["peak_mb"]
    table.add_row(
        f"peak memory, {many:,} to {FEW:,} documents",
        f"{growth:.2f}x: {lots['peak_mb']:.0f} MB beside {few['peak_mb']:.0f} MB",
        f"≤ {MEMORY_AIM:g}x",
    )
    table.add_row(f"seconds for {many:,} documents, embedded by hashing", f"{lots['seconds']:.0f}", "")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs"))
    parser.add_argument("--documents", type=int, default=MANY, help="how many in the large folder")
    parser.add_argument("--made-up", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.made_up:
        asyncio.run(take_in_made_up(given.made_up, given.home))
    else:
        asyncio.run(main(given.folder, given.documents))

"""`make bench-search`: search among many chunks, held against the same statement through bare asyncpg, against
langchain-postgres and against comparing every vector. Nothing here is a test."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import permutations, product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.search_data import AUDIENCES, BLOCK, MODEL, READERS, Corpus, Question, check_generated, load
from benchmarks.search_ways import RIVALS, ROWS, BareStatement, FindsNearest, Rival, Threadlore, Way
from benchmarks.search_words import open_vocabulary
from core.knowledge.search_policy import SearchPolicy
from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.knowledge_vectors import EmbeddingModel, find_model

WARM_UP = 10
EXHAUSTIVE_QUESTIONS = 12


@dataclass
class Figures:
    """One way under one audience: milliseconds and rows of each question."""

    milliseconds: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        return sorted(self.milliseconds)[int(0.95 * (len(self.milliseconds) - 1))]

    def ratio_to(self, other: Figures) -> float:
        """The median of the ratios of single questions, which were asked right after each other."""
        return statistics.median(a / b for a, b in zip(self.milliseconds, other.milliseconds, strict=True))


@asynccontextmanager
async def opened(home: Path, chunks: int) -> AsyncIterator[tuple[Database, Corpus]]:
    """The database with the chunks in it, made if they are not there yet."""
    server = await start_embedded_postgres(home, durable=False)
    database = Database(server.url)
    try:
        await database.migrate()
        model = await find_model(database, MODEL)
        if model is None:
            say(f"make {chunks:,} chunks")
            corpus = await load(database, chunks)
        else:
            corpus = Corpus(chunks, await open_vocabulary(database))
        await check_generated(database)
        yield database, corpus
    finally:
        await database.aclose()
        await server.stop()


async def measure(ways: Mapping[str, Way], questions: int) -> dict[tuple[str, str], Figures]:
    """Every way with every question under every audience, in turn, so that all have the same machine."""
    figures = {(audience, name): Figures() for audience in AUDIENCES for name in ways}
    orders = list(permutations(ways.items()))
    for name, audience in AUDIENCES.items():
        say(f"search as somebody who may read {name}")
        for number in range(questions):
            # Who comes second finds the pages warm: each comes before each other as often as after it.
            for way, searching in orders[number % len(orders)]:
                milliseconds, rows = await searching.search(number, audience)
                if number >= WARM_UP:
                    figures[name, way].milliseconds.append(milliseconds)
                    figures[name, way].rows.append(rows)
    return figures


async def recall_of_vectors(
    ways: Mapping[str, Way], corpus: Corpus, questions: Sequence[Question]
) -> dict[tuple[str, str], float]:
    """The share of the ten nearest readable chunks that a search for a vector alone finds, by audience and way."""
    say("compare every vector")
    nearest = nearest_chunks(corpus, questions)
    recall = {}
    for (name, audience), (way, searching) in product(AUDIENCES.items(), ways.items()):
        if isinstance(searching, FindsNearest):
            shares = [
                len(nearest[name][number].intersection(await searching.find_nearest(number, audience))) / ROWS
                for number in range(WARM_UP, len(questions))
            ]
            recall[name, way] = statistics.mean(shares)
    return recall


def nearest_chunks(corpus: Corpus, questions: Sequence[Question]) -> dict[str, list[set[int]]]:
    """The ids of the ten readable chunks with the greatest inner products, by audience and question."""
    asked = np.array([question.vector for question in questions], dtype=np.float32)
    best = {
        name: (np.full((len(questions), ROWS), -2.0, np.float32), np.zeros((len(questions), ROWS), np.int64))
        for name in AUDIENCES
    }
    for first in range(0, corpus.chunks, BLOCK):
        count = min(BLOCK, corpus.chunks - first)
        likeness = asked @ corpus.vectors(first, count).astype(np.float16).astype(np.float32).T
        collections = corpus.collections_of(first, count)
        for name, audience in AUDIENCES.items():
            readable = [n for n, who in enumerate(READERS.values()) if audience.workspace in who]
            masked = np.where(np.isin(collections, readable), likeness, -2.0)
            values = np.hstack([best[name][0], masked])
            ids = np.hstack([best[name][1], np.tile(np.arange(first, first + count) + 1, (len(asked), 1))])
            top = np.argpartition(-values, ROWS, axis=1)[:, :ROWS]
            best[name] = (np.take_along_axis(values, top, 1), np.take_along_axis(ids, top, 1))
    return {name: [set(row.tolist()) for row in ids] for name, (_, ids) in best.items()}


async def recall_of_search(
    database: Database, chunks: int, questions: Sequence[Question]
) -> dict[str, float]:
    """The share of the ten best passages of an exhaustive search, which compares every vector and looks at every
    chunk with any of the words, that the search as it is finds; by audience."""
    say("search exhaustively")
    exhaustive = SearchPolicy(exact_rows=chunks, lexical_exact_rows=chunks, lexical_words=1000)
    recall = {}
    for name, audience in AUDIENCES.items():
        shares = []
        for question in questions:
            found = []
            for policy in (SearchPolicy(), exhaustive):
                store = PostgresKnowledgeStore(database, policy)
                passages = await store.search(
                    question.text, question.vector, embedder=MODEL, audience=audience, limit=ROWS
                )
                found.append({passage.chunk_id for passage in passages})
            shares.append(len(found[0] & found[1]) / len(found[1]))
        recall[name] = statistics.mean(shares)
    return recall


def show(
    figures: Mapping[tuple[str, str], Figures],
    of_vectors: Mapping[tuple[str, str], float],
    of_search: Mapping[str, float],
) -> None:
    console = Console(width=160)
    table = Table(
        "may read", "way", "p50", "p95", "fewest rows", "mean rows", "recall@10 of the vectors",
        "Threadlore's ratio to it",
    )  # fmt: skip
    for (audience, way), found in figures.items():
        ratio = "" if way == "Threadlore" else f"{figures[audience, 'Threadlore'].ratio_to(found):.2f}"
        recall = of_vectors.get((audience, way))
        table.add_row(
            audience, way, f"{found.p50:.1f} ms", f"{found.p95:.1f} ms", str(min(found.rows)),
            f"{statistics.mean(found.rows):.1f}", "" if recall is None else f"{recall:.3f}", ratio,
        )  # fmt: skip
    console.print(table)
    whole = Table("may read", "recall@10 of Threadlore's whole search")
    for audience in AUDIENCES:
        whole.add_row(audience, f"{of_search[audience]:.3f}")
    console.print(whole)


def say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


async def run(home: Path, chunks: int, questions: int, rival_python: Path | None) -> None:
    async with AsyncExitStack() as stack:
        database, corpus = await stack.enter_async_context(opened(home, chunks))
        model = await find_model(database, MODEL)
        assert isinstance(model, EmbeddingModel)
        asked = corpus.questions(questions + WARM_UP)
        bare = await BareStatement.connect(database, model, asked)
        stack.push_async_callback(bare.aclose)
        ways: dict[str, Way] = {"Threadlore": Threadlore(database, asked), "the statement by asyncpg": bare}
        if rival_python is not None:
            await Rival.fill(database, model)
            for way, settings in RIVALS.items():
                ways[way] = rival = await Rival.start(rival_python, database, asked, settings)
                stack.push_async_callback(rival.aclose)
        figures = await measure(ways, len(asked))
        of_vectors = await recall_of_vectors(ways, corpus, asked)
        of_search = await recall_of_search(database, chunks, asked[WARM_UP:][:EXHAUSTIVE_QUESTIONS])
    show(figures, of_vectors, of_search)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=72)
    parser.add_argument("--home", type=Path, help="keep the chunks in this folder, for the next run")
    parser.add_argument("--rival", type=Path, help="a Python with langchain-postgres, to be compared with")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(given.home or Path(folder), given.chunks, given.questions, given.rival))


if __name__ == "__main__":
    main()

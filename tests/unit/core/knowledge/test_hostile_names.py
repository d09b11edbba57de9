"""M6: a name is text and nothing else. It opens no path, runs no statement, and is kept as it stands."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sqlalchemy import text

from core.knowledge.ingest import Ingestor
from core.knowledge.locations import build_source
from core.knowledge.search import Knowledge
from core.messages import Audience
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder

ANYONE = Audience(platform="web", workspace="W1", channel="C1")
NAMES = (
    "'; DROP TABLE documents; --.md",
    '"quoted" $$ $1 :name %s {0} \\.md',
    "--upload-pack=touch pwned.md",
    ":(glob)**.md",
    "up\\..\\..\\passwd.md",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd.md",
    "line\nbreak.md",
    "$(touch pwned).md",
    "~root.md",
    "NUL.md",
)


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    for n, name in enumerate(NAMES):
        (folder / name).write_text(
            f"---\ntitle: {name.splitlines()[0]}'); --\n---\nThe badge number {n} opens door{n}."
        )


def everything_below(folder: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts
    }


async def test_hostile_names_in_a_folder_and_in_a_repository_are_documents_like_any_other(
    database: Database, tmp_path: Path
) -> None:
    docs, home = tmp_path / "docs", tmp_path / "home"
    write(docs)
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("-c", "user.name=Ada", "-c", "user.email=ada@x.test", "commit", "--quiet", "--message=all"),
    ):
        subprocess.run(["git", *command], cwd=docs, check=True)  # noqa: S603, S607, ASYNC221
    before = everything_below(tmp_path)
    store, embedder = PostgresKnowledgeStore(database), FakeEmbedder()
    ingestor = Ingestor(store, embedder, build=lambda location: build_source(location, home))

    for location in (str(docs), f"git+file://{docs}"):
        report = await ingestor.sync([location])
        assert (report.added, report.failed) == (len(NAMES), ()), location
        for n, name in enumerate(NAMES):
            (best, *_) = await Knowledge(store, embedder).search(f"door{n}", audience=ANYONE)
            assert best.text.endswith(f"opens door{n}.")
            assert best.uri.endswith(name) or name in best.uri, (best.uri, name)

    after = everything_below(tmp_path)
    assert {path: after[path] for path in before} == before
    assert all(path.is_relative_to(home) for path in after.keys() - before.keys())
    assert not [path for path in after if path.name.startswith("pwned")]
    (row,) = await database.run(text("SELECT count(*) AS n FROM documents"))
    assert row.n == 2 * len(NAMES)

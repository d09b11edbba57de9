"""An ingest that is killed: what it had stored stays, and the next one does only the rest."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from sqlalchemy import text

from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore

DOCUMENTS = 600


async def test_a_killed_ingest_goes_on_where_it_stopped(
    tmp_path: Path, database: Database, database_url: str
) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for n in range(DOCUMENTS):
        (folder / f"page{n:04}.md").write_text(f"# Page {n}\n\nRoom {n} is on floor {n // 10}.")
    (folder / "aaa-broken.pdf").write_bytes(b"no pdf")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    settings = {"DATABASE_URL": database_url, "THREADLORE_HOME": str(tmp_path / "home")}

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "ingest", str(folder)),
            env=kept | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def stored() -> int:
        (row,) = await database.run(text("SELECT count(*) AS n FROM documents"))
        return int(row.n)

    first = await start()
    async with asyncio.timeout(60):
        while not await stored() and first.returncode is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    first.kill()
    await first.communicate()
    before = await stored()
    assert 0 < before < DOCUMENTS

    store = PostgresKnowledgeStore(database)
    (source,) = await store.sources()
    assert (source.state, source.synced_at) == ("syncing", None)
    await database.run(text("UPDATE sources SET sync_seen_at = now() - interval '61 seconds'"))
    (source,) = await store.sources()
    assert source.state == "interrupted"
    assert set(await store.quarantined(source.id)) == {"handbook/aaa-broken.pdf"}

    second = await start()
    out, _ = await asyncio.wait_for(second.communicate(), 100)
    report = json.loads(out)

    assert (report["unchanged"], report["added"], report["updated"]) == (before, DOCUMENTS - before, 0)
    assert [failed["uri"] for failed in report["failed"]] == ["handbook/aaa-broken.pdf"]
    (source,) = await store.sources()
    assert (source.state, source.documents) == ("incomplete", DOCUMENTS)
    assert (await store.quarantined(source.id))["handbook/aaa-broken.pdf"].attempts == 1

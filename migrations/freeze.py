"""`python -m migrations.freeze VERSION [REVISION]`: keep the schema of a release, to upgrade from for ever.

Writes tests/migrations/released/VERSION.sql: what `pg_dump --schema-only` says of a throw-away database that
was migrated to REVISION (the newest by default), and that revision.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.migrating import find_head, upgrade_schema
from core.storage.postgres_binaries import find_postgres_binaries

RELEASED = Path(__file__).parent.parent / "tests" / "migrations" / "released"
LEFT_OUT = ("--", "\\", "SET ", "SELECT pg_catalog.set_config", "COMMENT ON EXTENSION")
"""Comments, commands to psql, and what is set for the session alone."""


async def dump_schema(revision: str) -> str:
    """The SQL that makes the schema of the revision in an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        server = await start_embedded_postgres(Path(folder), durable=False)
        database = Database(server.url)
        try:
            await database.require_pgvector()
            engine = database.workers
            async with engine.connect() as connection:
                await connection.run_sync(upgrade_schema, revision)
            dumped = await asyncio.to_thread(_dump, database)
        finally:
            await database.aclose()
            await server.stop()
    lines = [line for line in dumped.splitlines() if line and not line.startswith(LEFT_OUT)]
    version = f"INSERT INTO public.alembic_version (version_num) VALUES ('{revision}');"  # noqa: S608
    return "\n".join([*lines, version, ""])


def _dump(database: Database) -> str:
    url = database.url
    program = find_postgres_binaries().program("pg_dump")
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments"]
    where = ["--host", str(url.host or url.query.get("host")), "--username", url.username or ""]
    where += ["--port", str(url.port)] if url.port else []
    command = [program, *options, *where, url.database or ""]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


async def main(version: str, revision: str) -> None:
    schema = await dump_schema(revision)
    RELEASED.mkdir(exist_ok=True)
    file = RELEASED / f"{version}.sql"
    file.write_text(schema)
    sys.stdout.write(f"{file} has the schema of {revision}.\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m migrations.freeze VERSION [REVISION]")
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else find_head()))

"""In how many chunks of a collection each word occurs: what BM25 needs to know before it looks. Taken anew when a
collection has changed noticeably; until the first time every word weighs the same."""

from __future__ import annotations

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANGED_SHARE = 0.02

log = structlog.get_logger(__name__)

_LOOK = text("""
    SELECT c.chunks AS before, count(k.id) AS now, coalesce(sum(k.words), 0) AS words,
           count(k.id) FILTER (WHERE k.id > c.last_chunk_id) AS added, coalesce(max(k.id), 0) AS last_id
    FROM collections c LEFT JOIN chunks k ON k.collection_id = c.id
    WHERE c.id = :collection_id GROUP BY c.id
""")
_NOTE = text("""
    UPDATE collections SET chunks = :now, words = :words, last_chunk_id = :last_id WHERE id = :collection_id
""")


async def refresh_statistics(connection: AsyncConnection, collection_id: int) -> None:
    """Count again if more than a fiftieth of the collection's chunks came or went since the last count.

    For a connection that commits each statement, one process at a time.
    """
    row = (await connection.execute(_LOOK, {"collection_id": collection_id})).one_or_none()
    if row is None:
        return
    removed = row.before + row.added - row.now
    if row.added + removed <= CHANGED_SHARE * row.before:
        return
    # ts_stat takes its query as a text; the id is a number of our own.
    await connection.execute(
        text(f"""
            WITH counted AS MATERIALIZED (
                SELECT word, ndoc
                FROM ts_stat('SELECT searched FROM chunks WHERE collection_id = {collection_id:d}')
            ), gone AS (
                DELETE FROM term_statistics t
                WHERE t.collection_id = :collection_id
                  AND NOT EXISTS (SELECT FROM counted WHERE word = t.lexeme)
            )
            INSERT INTO term_statistics (collection_id, lexeme, chunks)
            SELECT :collection_id, word, ndoc FROM counted
            ON CONFLICT (collection_id, lexeme) DO UPDATE SET chunks = excluded.chunks
            WHERE term_statistics.chunks <> excluded.chunks
        """),  # noqa: S608
        {"collection_id": collection_id},
    )
    facts = {"now": row.now, "words": row.words, "last_id": row.last_id}
    await connection.execute(_NOTE, {"collection_id": collection_id, **facts})
    await connection.execute(text("ANALYZE chunks"))
    log.info("term_statistics_taken", collection_id=collection_id, chunks=row.now)

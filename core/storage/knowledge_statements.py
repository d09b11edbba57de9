"""The statements of the knowledge store, but for search (core.storage.search)."""

from __future__ import annotations

from sqlalchemy import TextClause, text

MAKE_COLLECTION = text(
    "INSERT INTO collections (name) VALUES (:name) ON CONFLICT (name) DO NOTHING RETURNING id"
)
FIND_COLLECTION = text("SELECT id FROM collections WHERE name = :name")
DROP_COLLECTION = text("DELETE FROM collections WHERE name = :name")
GRANT = text("""
    INSERT INTO collection_grants (collection_id, platform, workspace, channel)
    VALUES (:collection_id, :platform, :workspace, :channel)
    ON CONFLICT (collection_id, platform, workspace, channel) DO NOTHING
""")
REVOKE = text("""
    DELETE FROM collection_grants g USING collections c
    WHERE c.id = g.collection_id AND c.name = :name AND g.platform IS NOT DISTINCT FROM CAST(:platform AS text)
      AND g.workspace IS NOT DISTINCT FROM CAST(:workspace AS text)
      AND g.channel IS NOT DISTINCT FROM CAST(:channel AS text)
""")
GRANTS = text("""
    SELECT g.platform, g.workspace, g.channel
    FROM collection_grants g JOIN collections c ON c.id = g.collection_id WHERE c.name = :name ORDER BY g.id
""")

LOCK_SOURCE = text("SELECT collection_id FROM sources WHERE id = :source_id FOR KEY SHARE")

MODELS_IN_USE = text("""
    SELECT m.id, m.name, m.dimensions FROM embedding_models m
    WHERE EXISTS (SELECT FROM documents d WHERE d.embedding_model_id = m.id)
""")
TRY_UPKEEP = text("SELECT pg_try_advisory_lock(hashtextextended('knowledge_upkeep', :collection_id))")

_DOCUMENTS = """
    SELECT d.id, d.uri, d.content_hash, coalesce(m.name, '') AS embedder, d.chunks, d.validator
    FROM documents d LEFT JOIN embedding_models m ON m.id = d.embedding_model_id
    WHERE d.source_id = :source_id
"""
DOCUMENTS = text(_DOCUMENTS)
NAMED_DOCUMENTS = text(f"{_DOCUMENTS} AND d.uri = ANY(CAST(:uris AS text[]))")
DOCUMENT_IDS = text("""
    SELECT d.id, d.uri FROM documents d
    WHERE d.source_id = :source_id AND d.uri > :after ORDER BY d.uri LIMIT :limit
""")
PUT_DOCUMENTS = text("""
    INSERT INTO documents (source_id, uri, title, content_hash, embedding_model_id, chunks, author, validator)
    SELECT :source_id, uri, title, content_hash, CAST(:model_id AS integer), chunks, author, validator
    FROM unnest(CAST(:uris AS text[]), CAST(:titles AS text[]), CAST(:hashes AS text[]),
                CAST(:chunks AS integer[]), CAST(:authors AS text[]), CAST(:validators AS text[]))
         AS given (uri, title, content_hash, chunks, author, validator)
    ON CONFLICT (source_id, uri) DO UPDATE SET
        title = excluded.title, content_hash = excluded.content_hash, chunks = excluded.chunks,
        embedding_model_id = excluded.embedding_model_id, author = excluded.author,
        validator = excluded.validator, stored_at = now()
    RETURNING id, uri
""")
DELETE_CHUNKS = text("DELETE FROM chunks WHERE document_id = ANY(CAST(:ids AS bigint[]))")
DELETE_DOCUMENTS = text("DELETE FROM documents WHERE id = ANY(CAST(:ids AS bigint[]))")


def insert_chunks(vector_table: str) -> TextClause:
    """Chunks and their vectors in one statement, from one array for each column."""
    return text(f"""
        WITH given AS (
            SELECT * FROM unnest(
                CAST(:document_ids AS bigint[]), CAST(:positions AS integer[]), CAST(:titles AS text[]),
                CAST(:heading_paths AS text[]), CAST(:texts AS text[]), CAST(:starts AS integer[]),
                CAST(:ends AS integer[]), CAST(:repeated AS integer[]), CAST(:parents AS integer[]),
                CAST(:words AS integer[]), CAST(:vectors AS text[])
            ) AS g (document_id, position, title, heading_path, text, start_offset, end_offset, repeated, parent,
                    words, vector)
        ), made AS (
            INSERT INTO chunks (document_id, collection_id, position, title, heading_path, text,
                                start_offset, end_offset, repeated, parent, words)
            SELECT document_id, :collection_id, position, title, heading_path::jsonb, text,
                   start_offset, end_offset, repeated, parent, words
            FROM given
            RETURNING id, document_id, position
        )
        INSERT INTO {vector_table} (chunk_id, collection_id, embedding)
        SELECT made.id, :collection_id, given.vector::halfvec
        FROM made JOIN given USING (document_id, position)
    """)  # noqa: S608 (a name of our own making)

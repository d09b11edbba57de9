"""The statements that keep sources: who keeps them, when they are synced, how that went, what cannot be read."""

from __future__ import annotations

from sqlalchemy import text

SILENT_SECONDS = 60
"""A sync without a sign of life for so long counts as interrupted."""

OPEN_SOURCE = text("""
    INSERT INTO sources AS s (collection_id, uri, kind, kept_by, every_seconds, next_sync_at)
    VALUES (:collection_id, :uri, :kind, :kept_by, CAST(:every_seconds AS float8),
            CASE WHEN CAST(:every_seconds AS float8) IS NOT NULL THEN now() END)
    ON CONFLICT (collection_id, uri) DO UPDATE SET
        kind = excluded.kind,
        kept_by = CASE WHEN excluded.kept_by = 'command' THEN 'command'
                       ELSE coalesce(s.kept_by, excluded.kept_by) END,
        every_seconds = coalesce(excluded.every_seconds, s.every_seconds),
        next_sync_at = CASE WHEN excluded.every_seconds IS NULL THEN s.next_sync_at
                            ELSE least(coalesce(s.next_sync_at, now()),
                                       now() + make_interval(secs => excluded.every_seconds)) END
    RETURNING id
""")

# Documents go first, in bounded steps, so that no statement runs for long.
DOCUMENTS_OF_SOURCE = text("""
    SELECT d.id FROM documents d JOIN sources s ON s.id = d.source_id
    WHERE s.collection_id = :collection_id AND s.uri = :uri
""")
DROP_SOURCE = text("DELETE FROM sources WHERE collection_id = :collection_id AND uri = :uri")
CHUNKING = text("SELECT chunking FROM sources WHERE id = :source_id")
RECORD_CHUNKING = text("UPDATE sources SET chunking = :chunking WHERE id = :source_id")
NOT_NAMED = text("""
    SELECT uri FROM sources
    WHERE collection_id = :collection_id AND kept_by = 'settings' AND uri <> ALL(CAST(:named AS text[]))
    ORDER BY uri
""")
UNSCHEDULE_NOT_NAMED = text("""
    UPDATE sources SET every_seconds = NULL, next_sync_at = NULL
    WHERE collection_id = :collection_id AND every_seconds IS NOT NULL
      AND kept_by IS DISTINCT FROM 'settings' AND uri <> ALL(CAST(:named AS text[]))
""")

SOURCES = text(f"""
    SELECT s.id, c.name AS collection, s.uri, s.kind, s.chunking, s.kept_by, s.every_seconds, s.synced_at, s.next_sync_at,
           s.error, s.sync_done AS done, s.sync_total AS total,
           CASE WHEN s.sync_seen_at > now() - interval '{SILENT_SECONDS} seconds' THEN 'syncing'
                WHEN s.sync_seen_at IS NOT NULL THEN 'interrupted'
                WHEN s.next_sync_at <= now() THEN 'due'
                ELSE coalesce(s.outcome, CASE WHEN s.synced_at IS NULL THEN 'new'
                                              WHEN s.error IS NULL THEN 'ok' ELSE 'incomplete' END)
           END AS state,
           held.documents, held.chunks,
           (SELECT count(*) FROM quarantine q WHERE q.source_id = s.id) AS failed
    FROM sources s JOIN collections c ON c.id = s.collection_id,
         LATERAL (SELECT count(*) AS documents, coalesce(sum(d.chunks), 0) AS chunks
                  FROM documents d WHERE d.source_id = s.id) AS held
    WHERE NOT CAST(:limited AS boolean)
       OR EXISTS (SELECT FROM collection_grants g
                  WHERE g.collection_id = c.id AND coalesce(g.platform, :platform) = :platform
                    AND coalesce(g.workspace, :workspace) = :workspace
                    AND (g.channel = :channel OR (g.channel IS NULL AND NOT CAST(:outsiders AS boolean))))
    ORDER BY c.name, s.uri
""")  # noqa: S608 (a number of our own)

DUE = text("""
    SELECT id FROM sources
    WHERE next_sync_at <= now() AND (kind = 'channel') = CAST(:channels AS boolean) ORDER BY next_sync_at, id
""")
REQUEST_SYNC = text("UPDATE sources SET next_sync_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))")
RETRY_NOW = text("""
    UPDATE quarantine SET retry_at = now()
    WHERE source_id = ANY(CAST(:ids AS bigint[])) AND content_hash IS NULL
""")
BEGIN_SOURCE = text("""
    UPDATE sources SET sync_started_at = now(), sync_seen_at = now(), sync_done = 0, sync_total = 0
    WHERE id = :source_id
""")
NOTE_PROGRESS = text("""
    UPDATE sources SET sync_seen_at = now(), sync_done = :done, sync_total = :total
    WHERE id = :source_id AND sync_started_at IS NOT NULL
""")
# Whoever asked for a sync after this one had begun still waits for theirs.
FINISH_SOURCE = text("""
    UPDATE sources SET synced_at = now(), error = :error, outcome = :outcome,
        sync_started_at = NULL, sync_seen_at = NULL,
        next_sync_at = CASE WHEN next_sync_at > sync_started_at AND next_sync_at <= now() THEN next_sync_at
                            ELSE now() + make_interval(secs => every_seconds) END
    WHERE id = :source_id RETURNING collection_id
""")

QUARANTINE = text("""
    INSERT INTO quarantine (source_id, uri, reason, content_hash, attempts, retry_at)
    SELECT :source_id, uri, reason, content_hash, attempts, retry_at
    FROM unnest(CAST(:uris AS text[]), CAST(:reasons AS text[]), CAST(:hashes AS text[]),
                CAST(:attempts AS integer[]), CAST(:retry_ats AS timestamptz[]))
         AS given (uri, reason, content_hash, attempts, retry_at)
    ON CONFLICT (source_id, uri) DO UPDATE SET
        reason = excluded.reason, content_hash = excluded.content_hash, attempts = excluded.attempts,
        retry_at = excluded.retry_at, failed_at = now()
""")
RELEASE = text("DELETE FROM quarantine WHERE source_id = :source_id AND uri = ANY(CAST(:uris AS text[]))")
QUARANTINED = text("""
    SELECT uri, reason, content_hash, attempts, failed_at, retry_at FROM quarantine
    WHERE source_id = :source_id ORDER BY uri
""")

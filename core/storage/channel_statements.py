"""The statements of what was said in channels that are sources."""

from __future__ import annotations

from sqlalchemy import text

_DUE = "UPDATE sources SET next_sync_at = now() WHERE id IN (SELECT source_id FROM {changed})"

WATCHED = text("""
    SELECT s.uri, coalesce(h.private, true) AS private
    FROM sources s LEFT JOIN channel_histories h ON h.source_id = s.id WHERE s.kind = 'channel' ORDER BY s.uri
""")

RECORD = text(f"""
    WITH kept AS (
        INSERT INTO channel_messages AS m
            (source_id, platform, workspace, place, message_id, thread_id, author_id, author, text, said_at, version)
        SELECT s.id, g.platform, g.workspace, g.place, g.message_id, g.thread_id, g.author_id, g.author, g.text,
               g.said_at, g.version
        FROM unnest(CAST(:sources AS text[]), CAST(:platforms AS text[]), CAST(:workspaces AS text[]),
                    CAST(:places AS text[]), CAST(:ids AS text[]), CAST(:threads AS text[]),
                    CAST(:author_ids AS text[]), CAST(:authors AS text[]), CAST(:texts AS text[]),
                    CAST(:said_ats AS timestamptz[]), CAST(:versions AS timestamptz[]))
             AS g (source, platform, workspace, place, message_id, thread_id, author_id, author, text, said_at,
                   version)
        JOIN sources s ON s.kind = 'channel' AND s.uri = g.source
        ON CONFLICT (platform, workspace, place, message_id) DO UPDATE SET
            text = excluded.text, thread_id = excluded.thread_id, version = excluded.version,
            changes = m.changes + 1
        WHERE NOT m.removed AND m.version <= excluded.version
          AND (m.text, m.thread_id) IS DISTINCT FROM (excluded.text, excluded.thread_id)
        RETURNING source_id
    ), due AS ({_DUE.format(changed="kept")} RETURNING id)
    SELECT count(*) AS changed FROM kept
""")  # noqa: S608 (a statement of our own)

# What arrives only after it was deleted must find something that says so.
MARK_REMOVED = text("""
    INSERT INTO channel_messages (source_id, platform, workspace, place, message_id, thread_id, removed)
    SELECT s.id, :platform, :workspace, :place, gone, gone, true
    FROM sources s, unnest(CAST(:ids AS text[])) AS given (gone)
    WHERE s.kind = 'channel' AND s.uri = :source
    ON CONFLICT (platform, workspace, place, message_id) DO NOTHING
""")


def _remove(condition: str) -> str:
    return f"""
    WITH gone AS (
        UPDATE channel_messages SET removed = true, text = '', author = '', author_id = '', changes = changes + 1
        WHERE platform = :platform AND workspace = :workspace AND NOT removed AND {condition}
        RETURNING source_id, document_uri
    ), dropped AS (
        DELETE FROM documents d USING gone g WHERE d.source_id = g.source_id AND d.uri = g.document_uri
    ), due AS ({_DUE.format(changed="gone")} RETURNING id)
    SELECT count(*) AS removed FROM gone
    """  # noqa: S608 (statements of our own)


REMOVE = text(_remove("place = :place AND message_id = ANY(CAST(:ids AS text[]))"))
FORGET_AUTHOR = text(_remove("author_id = :author"))
FORGET_THREAD = text(_remove("thread_id = :thread AND (place = :place OR place = :thread)"))

# A message stands in a thread if others do with it, or if its thread is a place of its own; what is left is
# put together by day.
TALKS = text("""
    WITH sized AS (
        SELECT m.*, m.place <> split_part(s.uri, '/', 2)
                    OR count(*) OVER (PARTITION BY m.thread_id) > 1 AS threaded
        FROM channel_messages m JOIN sources s ON s.id = m.source_id
        WHERE m.source_id = :source_id AND NOT m.removed
    )
    SELECT CASE WHEN threaded THEN thread_id ELSE to_char(said_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS key,
           (array_agg(place ORDER BY said_at, message_id))[1] AS place,
           (array_agg(message_id ORDER BY said_at, message_id))[1] AS message_id,
           md5(string_agg(message_id || ' ' || changes, ',' ORDER BY said_at, message_id)) AS version
    FROM sized GROUP BY 1 ORDER BY 1
""")

_MESSAGES = """
    SELECT m.platform, m.workspace, m.place, m.message_id, m.thread_id, m.author_id, m.author, m.text, m.said_at
    FROM channel_messages m JOIN sources s ON s.id = m.source_id
    WHERE m.source_id = :source_id AND NOT m.removed AND {condition} ORDER BY m.said_at, m.message_id
"""
THREAD = text(_MESSAGES.format(condition="m.thread_id = :key"))
DAY = text(
    _MESSAGES.format(
        condition="""
    m.place = split_part(s.uri, '/', 2) AND m.said_at >= CAST(:day AS timestamptz)
    AND m.said_at < CAST(:day AS timestamptz) + interval '1 day'
    AND NOT EXISTS (SELECT FROM channel_messages o
                    WHERE o.source_id = m.source_id AND o.thread_id = m.thread_id AND NOT o.removed
                      AND (o.place, o.message_id) <> (m.place, m.message_id))"""
    )
)
NOTE_DOCUMENT = text("""
    UPDATE channel_messages SET document_uri = :uri
    WHERE source_id = :source_id AND thread_id = ANY(CAST(:threads AS text[]))
      AND message_id = ANY(CAST(:ids AS text[])) AND NOT removed AND document_uri IS DISTINCT FROM :uri
""")

OPEN_HISTORY = text("""
    INSERT INTO channel_histories (source_id, next_read_at)
    VALUES (:source_id, now() + make_interval(secs => :seconds)) ON CONFLICT (source_id) DO NOTHING
""")
HISTORIES = text("""
    SELECT s.uri, h.source_id, h.name, h.address, h.private, h.cursor, h.newest, h.until, h.is_whole, h.error
    FROM channel_histories h JOIN sources s ON s.id = h.source_id
    WHERE NOT CAST(:due AS boolean) OR h.next_read_at <= now() ORDER BY h.next_read_at, s.uri
""")
NOTE_HISTORY = text("""
    UPDATE channel_histories SET name = :name, address = :address, private = :private, cursor = :cursor,
        newest = :newest, until = :until, is_whole = :is_whole, error = :error,
        next_read_at = coalesce(now() + make_interval(secs => CAST(:seconds AS float8)), next_read_at)
    WHERE source_id = :source_id
""")

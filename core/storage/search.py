"""Hybrid search as one statement: what the audience may read → dense leg and BM25 leg → fusion → texts.

Built once per policy and embedding model; only the question varies. Constants of the policy stand in the
text as literals, so that PostgreSQL plans with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Boolean, Integer, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.expression import TextualSelect

from core.knowledge.search_policy import SearchPolicy
from core.storage.knowledge_tables import TERMS
from core.storage.knowledge_vectors import EmbeddingModel

# Everything else reads `readable`: no leg ever sees a chunk of another collection. A grant admits an
# audience if each of its parts is absent or equal; a collection without grants admits nobody, and outsiders are
# admitted by a grant of the very channel alone.
_READABLE = """
readable AS MATERIALIZED (
    SELECT c.id, c.chunks FROM collections c
    WHERE (CAST(:collections AS text[]) IS NULL OR c.name = ANY(CAST(:collections AS text[])))
      AND EXISTS (
        SELECT FROM collection_grants g
        WHERE g.collection_id = c.id
          AND (g.platform IS NULL OR g.platform = :platform)
          AND (g.workspace IS NULL OR g.workspace = :workspace)
          AND (g.channel = :channel OR (g.channel IS NULL AND NOT :outsiders)))
), scope AS MATERIALIZED (
    SELECT coalesce(array_agg(id), '{}') AS ids, coalesce(sum(chunks), 0) AS chunks
    FROM readable
)"""

# Inner product: vectors are of unit length. OFFSET 0 keeps the exact leg off the HNSW index, whose filter comes
# after the walk, and has each distance computed once; of the two legs only one runs, as the number of
# readable chunks asks. BETWEEN says "equal" in a way that lets the planner expect few rows: in a column with
# few values it takes each of them for much of the table, and would rather read all of it than use the index.
_DENSE = """
dense_found AS MATERIALIZED (
    (SELECT chunk_id, distance FROM readable r CROSS JOIN LATERAL (
        SELECT v.chunk_id, v.embedding <#> {vector} AS distance FROM {table} v
        WHERE v.collection_id BETWEEN r.id AND r.id
        OFFSET 0) one_by_one
     WHERE (SELECT chunks FROM scope) <= {exact_rows}
     ORDER BY distance LIMIT greatest({leg_size}, :limit))
    UNION ALL
    (SELECT chunk_id, embedding <#> {vector} AS distance FROM {table}
     WHERE (SELECT chunks FROM scope) > {exact_rows} AND collection_id = ANY((SELECT ids FROM scope)::bigint[])
     ORDER BY embedding <#> {vector} LIMIT {leg_size})
), dense AS MATERIALIZED (
    SELECT chunk_id, -distance AS similarity, row_number() OVER (ORDER BY distance, chunk_id) AS place
    FROM dense_found
)"""

# The words of the question, weighed by how few of the readable chunks hold them. Where those are many, chunks are
# looked up by the rarest words, as long as the chunks that hold them, anybody's, stay within the budget of rows; the
# others only help to score.
_WORDS = r"""
words AS MATERIALIZED (
    SELECT lexeme, share, least(coalesce(readable, 0), (SELECT chunks FROM scope)) AS holding,
           coalesce(everywhere, 0) AS looked_at
    FROM (SELECT lexeme, max(share) AS share
          FROM (SELECT unnest(tsvector_to_array(to_tsvector('english', :text))) AS lexeme, 1.0 AS share
                UNION ALL
                SELECT unnest(tsvector_to_array(to_tsvector('english', :context))), {context_weight}) said
          GROUP BY lexeme) w
    CROSS JOIN LATERAL (
        SELECT sum(s.chunks) AS everywhere,
               sum(s.chunks) FILTER (WHERE s.collection_id = ANY((SELECT ids FROM scope)::bigint[])) AS readable
        FROM collections k CROSS JOIN LATERAL (
            SELECT t.collection_id, t.chunks FROM term_statistics t
            WHERE t.collection_id = k.id AND t.lexeme = w.lexeme LIMIT 1) s) counted
), weighed AS MATERIALIZED (
    SELECT lexeme, (share * ln(1 + (scope.chunks - holding + 0.5) / (holding + 0.5)))::float8 AS weight,
           sum(greatest(looked_at, 1)) OVER rarest <= {lexical_rows} OR row_number() OVER rarest = 1 AS chosen
    FROM words, scope WINDOW rarest AS (ORDER BY share DESC, looked_at, lexeme)
    ORDER BY share DESC, holding, lexeme LIMIT {lexical_words}
), question AS MATERIALIZED (
    SELECT sum(weight) AS most,
           (string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')
               FILTER (WHERE chosen))::tsquery AS query,
           (SELECT '{{' || string_agg(term || '\:' || weight, ',') || '}}/{terms}'
            FROM (SELECT lexical_term(lexeme) AS term, max(weight) AS weight FROM weighed GROUP BY 1) t
           )::sparsevec AS weights
    FROM weighed
)"""

# BM25 is an inner product: how rare each word is, times how much of each word a chunk holds (stored with it). Where
# the readable chunks are few, each is scored; otherwise those that the index finds, and no more of them either.
_LEXICAL = """
matched AS MATERIALIZED (
    (SELECT one_by_one.id, score FROM readable r CROSS JOIN LATERAL (
        SELECT c.id, -(c.weights <#> (SELECT weights FROM question)) AS score FROM chunks c
        WHERE c.collection_id BETWEEN r.id AND r.id
        OFFSET 0) one_by_one
     WHERE (SELECT chunks FROM scope) <= {lexical_exact_rows} AND score > 0)
    UNION ALL
    (SELECT id, -(weights <#> (SELECT weights FROM question)) AS score FROM chunks
     WHERE (SELECT chunks FROM scope) > {lexical_exact_rows}
       AND searched @@ (SELECT query FROM question) AND collection_id = ANY((SELECT ids FROM scope)::bigint[])
     LIMIT {lexical_exact_rows})
), scored AS MATERIALIZED (
    SELECT id AS chunk_id, score FROM matched ORDER BY score DESC, id LIMIT greatest({leg_size}, :limit)
), lexical AS MATERIALIZED (
    SELECT chunk_id, score / (SELECT most FROM question) AS coverage,
           row_number() OVER (ORDER BY score DESC, chunk_id) AS place
    FROM scored
)"""

# A chunk with a parent stands for all of the parent's chunks, one after the other, which leave no gap.
# What only the lexical leg has found gets its similarity here; what only the dense leg has found holds too few
# of the words for its coverage to matter.
_FOUND = """
found AS MATERIALIZED (
    SELECT coalesce(d.chunk_id, l.chunk_id) AS chunk_id, l.coverage,
           coalesce(d.similarity, -(v.embedding <#> {vector})) AS similarity,
           d.place AS dense_rank, l.place AS lexical_rank
    FROM dense d FULL JOIN lexical l ON l.chunk_id = d.chunk_id
    LEFT JOIN {table} v ON d.chunk_id IS NULL AND v.chunk_id = l.chunk_id
)"""

_FOUND_BY_WORDS = """
found AS MATERIALIZED (
    SELECT chunk_id, coverage, CAST(NULL AS float8) AS similarity, CAST(NULL AS bigint) AS dense_rank,
           place AS lexical_rank
    FROM lexical
)"""

# As core.knowledge.passages.put_surplus_last says.
_FUSED = """
judged AS MATERIALIZED (
    SELECT f.*, c.document_id, o.source_id, o.author, o.uri,
           {dense_weight} * coalesce(similarity, 0) + {lexical_weight} * coalesce(coverage, 0) AS score
    FROM found f JOIN chunks c ON c.id = f.chunk_id JOIN documents o ON o.id = c.document_id
), by_author AS (
    SELECT *, author IS NOT NULL AND row_number() OVER
                  (PARTITION BY lower(author) ORDER BY score DESC, chunk_id) > {author_chunks} AS surplus
    FROM judged
), by_source AS (
    SELECT *, row_number() OVER
                  (PARTITION BY source_id, surplus ORDER BY score DESC, chunk_id)
                  > greatest(1, least(:limit - 1, ceil(:limit * {source_share}))) AS crowded
    FROM by_author
), fused AS MATERIALIZED (
    SELECT *, row_number() OVER (ORDER BY surplus, crowded AND NOT surplus, score DESC, chunk_id) AS rank
    FROM by_source ORDER BY rank LIMIT :limit
)
SELECT f.rank, f.chunk_id, f.document_id, c.title, f.uri, f.source_id, f.author, c.heading_path,
       coalesce(whole.text, c.text) AS text,
       f.score::float8 AS score, f.similarity, f.coverage, f.dense_rank, f.lexical_rank,
       coalesce(whole.lowest, c.position) AS first, coalesce(whole.highest, c.position) AS last,
       coalesce(whole.start_offset, c.start_offset) AS start_offset,
       coalesce(whole.end_offset, c.end_offset) AS end_offset, coalesce(whole.repeated, c.repeated) AS repeated
FROM fused f
JOIN chunks c ON c.id = f.chunk_id
LEFT JOIN LATERAL (
    SELECT min(lowest) AS lowest, max(highest) AS highest, min(start_offset) AS start_offset,
           max(end_offset) AS end_offset, max(repeated) FILTER (WHERE position = lowest) AS repeated,
           string_agg(
               CASE WHEN position = lowest THEN left(text, repeated) ELSE '' END
               || substr(text, repeated + 1, CASE WHEN position = highest THEN length(text)
                                             ELSE end_offset - start_offset END),
               '' ORDER BY position) AS text
    FROM (SELECT s.position, s.text, s.start_offset, s.end_offset, s.repeated,
                 min(s.position) OVER () AS lowest, max(s.position) OVER () AS highest
          FROM chunks s
          WHERE c.parent IS NOT NULL AND s.document_id = c.document_id AND s.parent = c.parent) siblings
) whole ON true
ORDER BY f.rank"""


def build_search(policy: SearchPolicy, model: EmbeddingModel) -> TextualSelect:
    """The statement. Parameters: text, context, vector (as pgvector writes it), platform, workspace, channel,
    outsiders, collections (names, or null for all), limit."""
    values = {
        "table": model.table,
        # Read once: in a plan that serves every question a cast of a parameter would be done for each row.
        "vector": f"(SELECT CAST(:vector AS halfvec({model.dimensions})))",
        "terms": TERMS,
        **policy.model_dump(),
    }
    return _compose(values, (_DENSE, _WORDS, _LEXICAL, _FOUND, _FUSED)).bindparams(
        bindparam("vector", type_=Text)
    )


def build_search_by_words(policy: SearchPolicy) -> TextualSelect:
    """The statement without its dense leg, for when there is no vector. Parameters as above, but for it."""
    return _compose({"terms": TERMS, **policy.model_dump()}, (_WORDS, _LEXICAL, _FOUND_BY_WORDS, _FUSED))


def _compose(values: Mapping[str, object], parts: Sequence[str]) -> TextualSelect:
    legs = [part.format(**values) for part in parts]
    statement = text("WITH " + ", ".join([_READABLE.strip(), *(leg.strip() for leg in legs)])).bindparams(
        bindparam("text", type_=Text),
        bindparam("context", type_=Text),
        bindparam("platform", type_=Text),
        bindparam("workspace", type_=Text),
        bindparam("channel", type_=Text),
        bindparam("outsiders", type_=Boolean),
        bindparam("collections", type_=ARRAY(Text)),
        bindparam("limit", type_=Integer),
    )
    return statement.columns(heading_path=JSONB)

"""Hybrid search as one statement: what the audience may read → dense leg and BM25 leg → fusion → texts.

Built once per policy and embedding model; only the question varies. Constants of the policy stand in the
text as literals, so that PostgreSQL plans with them.
"""

from __future__ import annotations

from sqlalchemy import Integer, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.expression import TextualSelect

from core.knowledge.search_policy import SearchPolicy
from core.storage.knowledge_vectors import EmbeddingModel

# Everything else reads `readable`: no leg ever sees a chunk of another collection. A grant admits an
# audience if each of its parts is absent or equal; a collection without grants admits nobody.
_READABLE = """
readable AS MATERIALIZED (
    SELECT c.id, c.chunks, c.words FROM collections c
    WHERE (CAST(:collections AS text[]) IS NULL OR c.name = ANY(CAST(:collections AS text[])))
      AND EXISTS (
        SELECT FROM collection_grants g
        WHERE g.collection_id = c.id
          AND (g.platform IS NULL OR g.platform = :platform)
          AND (g.workspace IS NULL OR g.workspace = :workspace)
          AND (g.channel IS NULL OR g.channel = :channel))
), scope AS MATERIALIZED (
    SELECT coalesce(array_agg(id), '{}') AS ids, coalesce(sum(chunks), 0) AS chunks,
           sum(words) / nullif(sum(chunks), 0) AS average_words
    FROM readable
)"""

# Inner product: vectors are of unit length. Adding 0 keeps the exact leg off the HNSW index, whose filter
# comes after the walk; of the two legs only one runs, as the number of readable chunks asks.
_DENSE = """
dense_found AS MATERIALIZED (
    (SELECT chunk_id, embedding <#> {vector} AS distance FROM {table}
     WHERE (SELECT chunks FROM scope) <= {exact_rows} AND collection_id = ANY((SELECT ids FROM scope)::bigint[])
     ORDER BY (embedding <#> {vector}) + 0 LIMIT {leg_size})
    UNION ALL
    (SELECT chunk_id, embedding <#> {vector} AS distance FROM {table}
     WHERE (SELECT chunks FROM scope) > {exact_rows} AND collection_id = ANY((SELECT ids FROM scope)::bigint[])
     ORDER BY embedding <#> {vector} LIMIT {leg_size})
), dense AS MATERIALIZED (
    SELECT chunk_id, -distance AS similarity, row_number() OVER (ORDER BY distance, chunk_id) AS place
    FROM dense_found
)"""

# The words of the question with the number of chunks expected to hold them (0: rare). Chosen are the
# rarest, as long as their chunks together stay within the budget of rows; the others only help to score.
_TERMS = r"""
words AS MATERIALIZED (
    SELECT lexeme, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS query,
           coalesce((SELECT sum(s.chunks) FROM term_statistics s
                     WHERE s.lexeme = w.lexeme AND s.collection_id = ANY((SELECT ids FROM scope)::bigint[])), 0)
               AS expected
    FROM unnest(tsvector_to_array(to_tsvector('english', :text))) AS w (lexeme)
), terms AS MATERIALIZED (
    SELECT *, sum(greatest(expected, 1)) OVER rarest <= {lexical_rows} OR row_number() OVER rarest = 1 AS chosen
    FROM words WINDOW rarest AS (ORDER BY expected, lexeme)
    ORDER BY expected, lexeme LIMIT {lexical_words}
), matched AS MATERIALIZED (
    SELECT t.lexeme, c.id, c.words
    FROM terms t CROSS JOIN LATERAL (
        SELECT id, words FROM chunks
        WHERE searched @@ t.query AND collection_id = ANY((SELECT ids FROM scope)::bigint[])
        LIMIT {lexical_rows}) c
    WHERE t.chosen
), size AS MATERIALIZED (
    SELECT greatest((SELECT chunks FROM scope), (SELECT count(DISTINCT id) FROM matched)) AS chunks,
           coalesce((SELECT average_words FROM scope), (SELECT avg(words) FROM matched), 1)::float8
               AS average_words
), weighed AS MATERIALIZED (
    SELECT t.lexeme, t.query, ln(1 + (size.chunks - holding + 0.5) / (holding + 0.5))::float8 AS weight
    FROM size, terms t
    LEFT JOIN (SELECT lexeme, count(*) AS found FROM matched GROUP BY lexeme) m USING (lexeme)
    CROSS JOIN LATERAL (
        SELECT least(CASE WHEN t.chosen AND coalesce(found, 0) < {lexical_rows} THEN coalesce(found, 0)
                          ELSE greatest(t.expected, found, 1) END, size.chunks) AS holding) h
)"""

# BM25 in two steps. First as if each word occurred once, from what the index gives; then, for the best of
# these, with true frequencies. ts_rank of one word with equal weights is (1 + 1/4 + ... + 1/n^2) / (pi^2/6)
# for n occurrences, which determines n: the sum is pi^2/6 - 1/(n + 1/2) to within 0.05 occurrences.
_LEXICAL = """
likely AS MATERIALIZED (
    SELECT m.id, sum(w.weight / (1 + {k1} * ({one_less_b} + {b} * m.words / size.average_words))) AS guess
    FROM size, matched m JOIN weighed w USING (lexeme)
    GROUP BY m.id ORDER BY guess DESC, m.id LIMIT {candidates}
), unpacked AS MATERIALIZED (
    SELECT c.id, setweight(c.searched, 'D') AS searched, c.searched AS fields,
           {k1} * ({one_less_b} + {b} * c.words / size.average_words) AS held_back
    FROM size, likely JOIN chunks c USING (id)
), scored AS MATERIALIZED (
    SELECT u.id, sum(w.weight * often / (often + u.held_back)) AS score
    FROM unpacked u CROSS JOIN weighed w
    CROSS JOIN LATERAL (SELECT ts_rank('{{1,1,1,1}}', u.searched, w.query)::float8 AS rank) r
    CROSS JOIN LATERAL (SELECT 1 / greatest(1.6449340668 * (1 - rank), 0.004) - 0.5{title_bonus} AS often) f
    WHERE rank > 0
    GROUP BY u.id
), lexical AS MATERIALIZED (
    SELECT id AS chunk_id, score / (SELECT sum(weight) FROM weighed) AS coverage,
           row_number() OVER (ORDER BY score DESC, id) AS place
    FROM scored ORDER BY score DESC, id LIMIT {leg_size}
)"""

# What only the lexical leg has found gets its similarity here; what only the dense leg has found holds too few
# of the words for its coverage to matter.
_FUSED = """
found AS MATERIALIZED (
    SELECT coalesce(d.chunk_id, l.chunk_id) AS chunk_id, l.coverage,
           coalesce(d.similarity, -(v.embedding <#> {vector})) AS similarity,
           d.place AS dense_rank, l.place AS lexical_rank
    FROM dense d FULL JOIN lexical l ON l.chunk_id = d.chunk_id
    LEFT JOIN {table} v ON d.chunk_id IS NULL AND v.chunk_id = l.chunk_id
), fused AS MATERIALIZED (
    SELECT *, {dense_weight} * coalesce(similarity, 0) + {lexical_weight} * coalesce(coverage, 0) AS score
    FROM found ORDER BY score DESC, chunk_id LIMIT :limit
)
SELECT f.chunk_id, c.document_id, c.title, o.uri, c.heading_path, c.text, f.score::float8 AS score,
       f.similarity, f.coverage, f.dense_rank, f.lexical_rank
FROM fused f
JOIN chunks c ON c.id = f.chunk_id
JOIN documents o ON o.id = c.document_id
ORDER BY f.score DESC, f.chunk_id"""

CANDIDATES_PER_PLACE = 3
"""How many chunks are scored exactly for each place in the lexical leg."""


def build_search(policy: SearchPolicy, model: EmbeddingModel) -> TextualSelect:
    """The statement. Parameters: text, vector (as pgvector writes it), platform, workspace, channel,
    collections (names, or null for all), limit."""
    values = {
        "table": model.table,
        "vector": f"CAST(:vector AS halfvec({model.dimensions}))",
        "candidates": CANDIDATES_PER_PLACE * policy.leg_size,
        "one_less_b": 1 - policy.b,
        "title_bonus": (
            f" + {policy.title_weight} * (ts_rank('{0, 0, 1, 1}', u.fields, w.query) > 0)::int"
            if policy.title_weight
            else ""
        ),
        **policy.model_dump(),
    }
    legs = [part.format(**values) for part in (_DENSE, _TERMS, _LEXICAL, _FUSED)]
    statement = text("WITH " + ", ".join([_READABLE.strip(), *(leg.strip() for leg in legs)])).bindparams(
        bindparam("text", type_=Text),
        bindparam("vector", type_=Text),
        bindparam("platform", type_=Text),
        bindparam("workspace", type_=Text),
        bindparam("channel", type_=Text),
        bindparam("collections", type_=ARRAY(Text)),
        bindparam("limit", type_=Integer),
    )
    return statement.columns(heading_path=JSONB)

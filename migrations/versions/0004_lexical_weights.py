"""How much each chunk holds of each word, as a sparse vector: BM25 becomes an inner product.

The functions carry the constants of core.knowledge.search_policy.share_of_word.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import SPARSEVEC

revision = "0004_lexical_weights"
down_revision = "0003_slack_installations"
branch_labels = None
depends_on = None

SEARCHED = (
    "setweight(to_tsvector('english'::regconfig, title), 'A') || "
    "setweight(to_tsvector('english'::regconfig, heading_path), 'B') || "
    "setweight(to_tsvector('english'::regconfig, text), 'D')"
)


def upgrade() -> None:
    # Bodies that are parsed now, not at every call, find what they name whatever the search path is then.
    op.execute("""
        CREATE FUNCTION lexical_term(lexeme text) RETURNS integer
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN (hashtextextended(lexeme, 0) & 1073741823)::integer % 1000000000 + 1
    """)
    op.execute("""
        CREATE FUNCTION lexical_weights(searched tsvector) RETURNS sparsevec
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        BEGIN ATOMIC
            SELECT ('{' || coalesce(string_agg(
                        term || ':' || often / (often + 0.9 * (0.6 + 0.4 * words / 75)), ','), '')
                    || '}/1000000000')::sparsevec
            FROM (SELECT lexical_term(lexeme) AS term, sum(cardinality(positions))::float8 AS often,
                         sum(sum(cardinality(positions))) OVER ()::float8 AS words
                  FROM unnest(searched) GROUP BY 1) AS counted;
        END
    """)
    op.add_column(
        "chunks",
        sa.Column(
            "weights",
            SPARSEVEC(1_000_000_000),
            sa.Computed(f"lexical_weights({SEARCHED})", persisted=True),
            nullable=False,
        ),
    )
    # In line with the row: a search reads thousands of them.
    op.execute("ALTER TABLE chunks ALTER COLUMN weights SET STORAGE MAIN")


def downgrade() -> None:
    op.drop_column("chunks", "weights")
    op.execute("DROP FUNCTION lexical_weights(tsvector)")
    op.execute("DROP FUNCTION lexical_term(text)")

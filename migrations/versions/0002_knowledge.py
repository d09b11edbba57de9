"""Knowledge: collections and who may read them, sources, documents, chunks, statistics, models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_knowledge"
down_revision = "0001_road"
branch_labels = None
depends_on = None

SEARCHED = (
    "setweight(to_tsvector('english'::regconfig, title), 'A') || "
    "setweight(to_tsvector('english'::regconfig, heading_path), 'B') || "
    "setweight(to_tsvector('english'::regconfig, text), 'D')"
)


def _id(kind: type[sa.Integer] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column("id", kind(), sa.Identity(always=True), nullable=False)


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _owned_by(table: str, owner: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{owner}.id"], name=op.f(f"fk_{table}_{column}_{owner}"), ondelete="CASCADE"
    )


def upgrade() -> None:
    _create_collections()
    _create_documents()


def _create_collections() -> None:
    op.create_table(
        "collections",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        _counter("chunks"),
        _counter("words"),
        _counter("last_chunk_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("name", name=op.f("uq_collections_name")),
    )
    op.create_table(
        "collection_grants",
        _id(),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("workspace", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(channel IS NULL OR workspace IS NOT NULL) AND (workspace IS NULL OR platform IS NOT NULL)",
            name=op.f("ck_collection_grants_names_what_is_around"),
        ),
        _owned_by("collection_grants", "collections", "collection_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection_grants")),
        sa.UniqueConstraint(
            "collection_id",
            "platform",
            "workspace",
            "channel",
            name=op.f("uq_collection_grants_collection_id_platform_workspace_channel"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "term_statistics",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("lexeme", sa.Text(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        _owned_by("term_statistics", "collections", "collection_id"),
        sa.PrimaryKeyConstraint("collection_id", "lexeme", name=op.f("pk_term_statistics")),
    )
    op.create_table(
        "sources",
        _id(),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        _owned_by("sources", "collections", "collection_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("collection_id", "uri", name=op.f("uq_sources_collection_id_uri")),
    )


def _create_documents() -> None:
    op.create_table(
        "embedding_models",
        _id(sa.Integer),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedding_models")),
        sa.UniqueConstraint("name", name=op.f("uq_embedding_models_name")),
    )
    op.create_table(
        "documents",
        _id(),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("embedding_model_id", sa.Integer(), nullable=True),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["embedding_model_id"],
            ["embedding_models.id"],
            name=op.f("fk_documents_embedding_model_id_embedding_models"),
        ),
        _owned_by("documents", "sources", "source_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("source_id", "uri", name=op.f("uq_documents_source_id_uri")),
    )
    op.create_table(
        "chunks",
        _id(),
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("heading_path", postgresql.JSONB(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("start_offset", sa.Integer(), nullable=False),
        sa.Column("end_offset", sa.Integer(), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("searched", postgresql.TSVECTOR(), sa.Computed(SEARCHED, persisted=True), nullable=False),
        _owned_by("chunks", "documents", "document_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunks")),
    )
    op.create_index("ix_chunks_searched", "chunks", ["searched"], postgresql_using="gin")
    op.create_index("ix_chunks_collection_id", "chunks", ["collection_id", "id"])
    op.create_index(op.f("ix_chunks_document_id"), "chunks", ["document_id"])


def downgrade() -> None:
    """Removes the vector tables too: they hang on the chunks."""
    op.execute(
        "DO $$ DECLARE made record; BEGIN FOR made IN SELECT id FROM embedding_models LOOP "
        "EXECUTE format('DROP TABLE IF EXISTS %I', 'vectors_' || made.id); END LOOP; END $$"
    )
    for table in ("chunks", "documents", "embedding_models", "sources", "term_statistics"):
        op.drop_table(table)
    op.drop_table("collection_grants")
    op.drop_table("collections")

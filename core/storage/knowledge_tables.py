"""The tables of knowledge. Vectors are not here: each embedding model has a table of its own, made when the
model is first used (core.storage.knowledge_vectors)."""

from __future__ import annotations

from datetime import datetime

from pgvector import SparseVector
from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base

SEARCHED = (
    "setweight(to_tsvector('english'::regconfig, title), 'A') || "
    "setweight(to_tsvector('english'::regconfig, heading_path), 'B') || "
    "setweight(to_tsvector('english'::regconfig, text), 'D')"
)


TERMS = 1_000_000_000
"""Word stems are hashed to numbers from 1 to this, the most that a sparse vector of pgvector may have."""


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def _owner(column: str, *, index: bool = False) -> Mapped[int]:
    return mapped_column(BigInteger, ForeignKey(column, ondelete="CASCADE"), nullable=False, index=index)


class CollectionRow(Base):
    """What is granted as a whole. `chunks`, `words` and `last_chunk_id` describe it as it was when its
    term statistics were last taken."""

    __tablename__ = "collections"

    id: Mapped[int] = _id()
    name: Mapped[str] = mapped_column(Text, unique=True)
    chunks: Mapped[int] = mapped_column(BigInteger, server_default="0")
    words: Mapped[int] = mapped_column(BigInteger, server_default="0")
    last_chunk_id: Mapped[int] = mapped_column(BigInteger, server_default="0")


class CollectionGrantRow(Base):
    """One audience that may read a collection; what is null is not asked for."""

    __tablename__ = "collection_grants"
    __table_args__ = (
        UniqueConstraint(
            "collection_id", "platform", "workspace", "channel", postgresql_nulls_not_distinct=True
        ),
        CheckConstraint(
            "(channel IS NULL OR workspace IS NOT NULL) AND (workspace IS NULL OR platform IS NOT NULL)",
            name="names_what_is_around",
        ),
    )

    id: Mapped[int] = _id()
    collection_id: Mapped[int] = _owner("collections.id")
    platform: Mapped[str | None] = mapped_column(Text)
    workspace: Mapped[str | None] = mapped_column(Text)
    channel: Mapped[str | None] = mapped_column(Text)


class TermStatisticRow(Base):
    """In how many chunks of a collection a word stem occurs."""

    __tablename__ = "term_statistics"

    collection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    lexeme: Mapped[str] = mapped_column(Text, primary_key=True)
    chunks: Mapped[int] = mapped_column(Integer)


class SourceRow(Base):
    """Where documents come from. `sync_started_at` and `sync_seen_at` are null unless a sync is under way, or was
    when its process died; `outcome` is that of the last one (core.knowledge.documents.SyncOutcome). `chunking` names
    how its documents are sliced; null: as the settings say."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("collection_id", "uri"),)

    id: Mapped[int] = _id()
    collection_id: Mapped[int] = _owner("collections.id")
    uri: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    synced_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error: Mapped[str | None] = mapped_column(Text)
    chunking: Mapped[str | None] = mapped_column(Text)
    kept_by: Mapped[str | None] = mapped_column(Text)
    every_seconds: Mapped[float | None] = mapped_column(Double)
    next_sync_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sync_started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sync_seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sync_done: Mapped[int] = mapped_column(Integer, server_default="0")
    sync_total: Mapped[int] = mapped_column(Integer, server_default="0")
    outcome: Mapped[str | None] = mapped_column(Text)


class QuarantineRow(Base):
    """A document that could not be read. `content_hash` is null where not even its bytes could be had."""

    __tablename__ = "quarantine"

    source_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True
    )
    uri: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    failed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    retry_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class EmbeddingModelRow(Base):
    """A model whose vectors are stored, in the table vectors_<id>."""

    __tablename__ = "embedding_models"

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    dimensions: Mapped[int] = mapped_column(Integer)


class ServingEmbedderRow(Base):
    """A model whose vectors are searched (`until` is null: one at most), or were until then."""

    __tablename__ = "serving_embedders"

    embedding_model_id: Mapped[int] = mapped_column(
        Integer, ForeignKey("embedding_models.id", ondelete="CASCADE"), primary_key=True
    )
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DocumentRow(Base):
    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("source_id", "uri"),)

    id: Mapped[int] = _id()
    source_id: Mapped[int] = _owner("sources.id")
    uri: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(Text)
    embedding_model_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("embedding_models.id"))
    chunks: Mapped[int] = mapped_column(Integer)
    author: Mapped[str | None] = mapped_column(Text)
    validator: Mapped[str | None] = mapped_column(Text)
    stored_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ChunkRow(Base):
    """A slice of a document. `title` is its document's; `words` counts what full text sees of it. `weights` says
    how much it holds of each word stem (core.knowledge.search_policy.share_of_word), by the stem's number."""

    __tablename__ = "chunks"
    __table_args__ = (
        Index("ix_chunks_searched", "searched", postgresql_using="gin"),
        Index("ix_chunks_collection_id", "collection_id", "id"),
    )

    id: Mapped[int] = _id()
    document_id: Mapped[int] = _owner("documents.id", index=True)
    collection_id: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(Text)
    heading_path: Mapped[list[str]] = mapped_column(JSONB)
    text: Mapped[str] = mapped_column(Text)
    start_offset: Mapped[int] = mapped_column(Integer)
    end_offset: Mapped[int] = mapped_column(Integer)
    repeated: Mapped[int] = mapped_column(Integer, server_default="0")
    parent: Mapped[int | None] = mapped_column(Integer)
    words: Mapped[int] = mapped_column(Integer)
    searched: Mapped[str] = mapped_column(TSVECTOR, Computed(SEARCHED, persisted=True))
    weights: Mapped[SparseVector] = mapped_column(
        SPARSEVEC(TERMS), Computed(f"lexical_weights({SEARCHED})", persisted=True)
    )

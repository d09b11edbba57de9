"""The values of knowledge: what a source holds, how it is sliced, who may read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from pydantic import model_validator

from core.messages import Audience, Frozen


class Grant(Frozen):
    """Lets an audience read a collection: everyone (all None), a platform, a workspace or a channel.

    Ids are unique only within what is around them, so a channel is granted with its workspace, and a
    workspace with its platform.
    """

    platform: str | None = None
    workspace: str | None = None
    channel: str | None = None

    @model_validator(mode="after")
    def _name_what_is_around(self) -> Self:
        if (self.channel and not self.workspace) or (self.workspace and not self.platform):
            raise ValueError("a channel is granted with its workspace, a workspace with its platform")
        return self

    def admits(self, audience: Audience) -> bool:
        """Whether the whole audience is among those granted."""
        return (
            self.platform in (None, audience.platform)
            and self.workspace in (None, audience.workspace)
            and (self.channel == audience.channel or (self.channel is None and not audience.outsiders))
        )


class Document(Frozen):
    """One item of a source, as plain Markdown text. `content_hash` is the SHA-256 of what was read,
    in hex, salted with the version of the way it is read: same hash, same document. `author` is whom the document
    names as such; `validator` is what to show its server so that it is sent again only when it has changed."""

    uri: str
    title: str
    text: str
    content_hash: str
    author: str | None = None
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What is remembered of a document between syncs. `embedder` names the model of its vectors."""

    id: int
    uri: str
    content_hash: str
    embedder: str = ""
    chunks: int = 0
    validator: str | None = None


class ChunkDraft(Frozen):
    """A slice of a document. `start` and `end` are character offsets into the document's text;
    `position` counts from 0; the heading path leads from the outermost heading inwards.

    The first `repeated` characters of the text are said again from further up (a table's header, a fence); the
    slice follows them. Chunks with the same `parent` are read together, None: each alone.
    """

    position: int
    text: str
    heading_path: tuple[str, ...] = ()
    start: int
    end: int
    repeated: int = 0
    parent: int | None = None


Keeper = Literal["settings", "command"]
"""Who keeps a source: the setting KNOWLEDGE, which removes it with its documents when it is no longer named there,
or whoever ran `threadlore ingest`."""

SyncOutcome = Literal["ok", "incomplete", "failed"]
"""incomplete: some documents could not be read. failed: the source as a whole could not be looked at."""

SourceState = Literal["new", "due", "syncing", "interrupted", "ok", "incomplete", "failed"]
"""What a source is up to: an outcome, or something that is not over. due: to be synced now. interrupted: the
process that synced it is gone; the next sync goes on from there."""


class FailedDocument(Frozen):
    """A document that could not be read, with a reason in plain words."""

    uri: str
    reason: str


class QuarantinedDocument(FailedDocument):
    """A document that is left alone until its content changes or `retry_at` has come. `content_hash` is
    None where not even its bytes could be had; `attempts` counts the failures with the same content."""

    content_hash: str | None = None
    attempts: int = 1
    retry_at: datetime
    failed_at: datetime | None = None


class SourceStatus(Frozen):
    """Where documents come from, how the last sync went, and when the next one is due.

    `kept_by` is None for sources from before that was remembered. Without `every_seconds` it is synced only
    when asked for. `done` of `total` documents have been looked at by the sync under way, or by the last one. `chunking`: how they
    are sliced, None: as the settings say.
    """

    id: int
    collection: str
    uri: str
    kind: str
    kept_by: Keeper | None = None
    state: SourceState = "new"
    documents: int
    chunks: int = 0
    failed: int = 0
    done: int = 0
    total: int = 0
    every_seconds: float | None = None
    synced_at: datetime | None = None
    next_sync_at: datetime | None = None
    error: str | None = None
    chunking: str | None = None


class Progress(Frozen):
    """How far a sync is: documents looked at, of how many are known so far, and the latest one."""

    done: int
    total: int
    uri: str


class SyncReport(Frozen):
    """What a sync did. `documents` and `chunks` count what is stored now in the synced sources."""

    documents: int = 0
    chunks: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: tuple[FailedDocument, ...] = ()
    seconds: float = 0.0

    def __add__(self, other: SyncReport) -> SyncReport:
        """What both did together."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in SyncReport.model_fields}
        return SyncReport(**sums)

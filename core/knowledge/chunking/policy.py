"""How documents are sliced: the strategies by name, and how large a chunk is. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from pydantic import Field

from core.messages import Frozen

CountTokens = Callable[[str], int]

# A piece of about one token of a WordPiece vocabulary: ideographs alone, words in runs of at most eight
# letters, digits in pairs, every mark alone.
_PIECE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]|[^\W\d_\u2e80-\u9fff\uac00-\ud7af]{1,8}|\d{1,2}|[^\w\s]|_")


def estimate_tokens(text: str) -> int:
    """About how many tokens the local embedder's vocabulary needs for the text; rather too many than too few."""
    return len(_PIECE.findall(text))


class ChunkingStrategy(StrEnum):
    """Where a document is cut (docs/howto/choose-chunking.md)."""

    STRUCTURE = "structure"
    """At headings; paragraphs, lists, tables and code stay whole where they fit."""
    RECURSIVE = "recursive"
    """At blank lines, then lines, then sentences, whatever the text means."""
    CODE = "code"
    """Long code between its definitions, everything else by structure."""
    CONVERSATION = "conversation"
    """Between messages; every message stays whole and keeps its speaker."""
    SMALL_TO_BIG = "small-to-big"
    """Small pieces are searched, the larger part of the section around them is read."""


class ChunkingPolicy(Frozen):
    """How a document is sliced. All figures are tokens as `estimate_tokens` counts them.

    `budget_tokens` holds title, heading path and text together. `overlap_tokens` is how much of running text
    that had to be split stands in both neighbours. A section below `small_tokens` shares a chunk with the next.
    `parent_tokens` is how much is read around a small chunk of `child_tokens`.
    """

    strategy: ChunkingStrategy = ChunkingStrategy.STRUCTURE
    budget_tokens: int = Field(default=200, ge=1)
    overlap_tokens: int = Field(default=24, ge=0)
    small_tokens: int = Field(default=48, ge=0)
    child_tokens: int = Field(default=90, ge=1)
    parent_tokens: int = Field(default=360, ge=1)

    @property
    def key(self) -> str:
        """Names the policy in a document's content hash: another policy, another slicing."""
        return self.model_dump_json()

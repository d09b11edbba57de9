"""Slices the Markdown text of a document into chunks. Pure: no model, no store.

A chunk's text is a verbatim slice of the document, `document.text[chunk.start:chunk.end]`. Where a table or a code
block had to be cut, its header or fence is said again around the slice, the first `chunk.repeated` characters of
the text and what comes after the slice. What is embedded and put into full text is `embedding_text`: the title and
the headings above the slice, then the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from core.knowledge.chunking.conversation import slice_conversation
from core.knowledge.chunking.parents import slice_small_to_big
from core.knowledge.chunking.policy import ChunkingPolicy, ChunkingStrategy, CountTokens, estimate_tokens
from core.knowledge.chunking.recursive import slice_recursive
from core.knowledge.chunking.structure import Slice, slice_code, slice_structure
from core.knowledge.documents import ChunkDraft

__all__ = ["ChunkingPolicy", "ChunkingStrategy", "chunk_text", "embedding_text", "estimate_tokens"]

_SLICERS: dict[ChunkingStrategy, Callable[[str, str, ChunkingPolicy, CountTokens], list[Slice]]] = {
    ChunkingStrategy.STRUCTURE: slice_structure,
    ChunkingStrategy.RECURSIVE: slice_recursive,
    ChunkingStrategy.CODE: slice_code,
    ChunkingStrategy.CONVERSATION: slice_conversation,
}


def chunk_text(
    text: str,
    *,
    title: str = "",
    policy: ChunkingPolicy | None = None,
    count_tokens: CountTokens = estimate_tokens,
) -> list[ChunkDraft]:
    """The chunks of a document's Markdown text, in order; none for a blank text."""
    policy = policy or ChunkingPolicy()
    if not text.strip():
        return []
    numbered: Iterable[tuple[int | None, Slice]]
    if policy.strategy is ChunkingStrategy.SMALL_TO_BIG:
        numbered = slice_small_to_big(text, title, policy, count_tokens)
    else:
        numbered = ((None, s) for s in _SLICERS[policy.strategy](text, title, policy, count_tokens))
    return [
        ChunkDraft(
            position=n,
            text=s.before + text[s.start : s.end] + s.after,
            heading_path=s.path,
            start=s.start,
            end=s.end,
            repeated=len(s.before),
            parent=parent,
        )
        for n, (parent, s) in enumerate(numbered)
    ]


class Headed(Protocol):
    """A text and the headings above it, outermost first."""

    @property
    def heading_path(self) -> tuple[str, ...]: ...
    @property
    def text(self) -> str: ...


def embedding_text(title: str, chunk: Headed) -> str:
    """What is embedded and found by full text: title, heading path, text. A heading equal to the title is
    said once."""
    headings = [heading for heading in chunk.heading_path if heading != title]
    context = " › ".join(part for part in (title, *headings) if part)
    return f"{context}\n\n{chunk.text}" if context else chunk.text

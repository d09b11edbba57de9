"""From what a search found to what is read: parts of one place once, neighbours as one passage. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from core.answers import Passage
from core.knowledge.search_policy import AUTHOR_CHUNKS, SOURCE_SHARE, most_of_source

MOST_CHARACTERS = 2400
"""Neighbours are joined up to this length: a citation of the whole should still point somewhere."""


def drop_repeats(passages: Sequence[Passage]) -> list[Passage]:
    """Each place of a document once, where it ranks best. Ranks count on from 1."""
    seen: set[object] = set()
    kept: list[Passage] = []
    for passage in passages:
        place = (
            (passage.document_id, passage.extent.start, passage.extent.end)
            if passage.extent
            else passage.chunk_id
        )
        if place not in seen:
            seen.add(place)
            kept.append(passage)
    return _ranked(kept)


def put_surplus_last(
    passages: Sequence[Passage],
    limit: int,
    *,
    author_chunks: int = AUTHOR_CHUNKS,
    source_share: float = SOURCE_SHARE,
) -> list[Passage]:
    """No author and no source takes up all of `limit` places while others have something to say: the best few of each come
    first, then what more there is of a source, then what more there is of an author, each as they were ordered.
    Ranks count on from 1.

    What nobody is named for is capped by its source alone. What is surplus of an author does not count for the
    source, so that an author cannot use up the share of a source that others write in too.
    """
    by_author: Counter[str] = Counter()
    by_source: Counter[int] = Counter()
    first: list[Passage] = []
    more_of_source: list[Passage] = []
    more_of_author: list[Passage] = []
    for passage in passages:
        if passage.author is not None:
            by_author[passage.author.lower()] += 1
            if by_author[passage.author.lower()] > author_chunks:
                more_of_author.append(passage)
                continue
        if passage.source_id is not None:
            by_source[passage.source_id] += 1
            if by_source[passage.source_id] > most_of_source(limit, source_share):
                more_of_source.append(passage)
                continue
        first.append(passage)
    return _ranked([*first, *more_of_source, *more_of_author])


def merge_neighbours(passages: Sequence[Passage]) -> list[Passage]:
    """Passages that follow each other in a section become one, at the place of the best of them.

    It keeps the best one's chunk id, score and figures; its text is theirs in the order of the document, what
    they overlap in said once.
    """
    merged = [_join(group) if len(group) > 1 else group[0] for group in _runs(passages)]
    return _ranked(sorted(merged, key=lambda passage: passage.rank))


def _ranked(passages: Sequence[Passage]) -> list[Passage]:
    return [passage.model_copy(update={"rank": rank}) for rank, passage in enumerate(passages, start=1)]


def _runs(passages: Sequence[Passage]) -> list[list[Passage]]:
    """Groups of passages that follow each other, in the order of the document."""
    placed = [passage for passage in passages if passage.extent]
    placed.sort(key=lambda p: (p.document_id, p.extent.first if p.extent else 0))
    runs = [[passage] for passage in passages if not passage.extent] + [[p] for p in placed[:1]]
    for before, passage in pairwise(placed):
        length = sum(len(member.text) for member in runs[-1]) + len(passage.text)
        if _follows(before, passage) and length <= MOST_CHARACTERS:
            runs[-1].append(passage)
        else:
            runs.append([passage])
    return runs


def _follows(before: Passage, passage: Passage) -> bool:
    return (
        before.extent is not None
        and passage.extent is not None
        and before.document_id == passage.document_id
        and before.heading_path == passage.heading_path
        and before.extent.last + 1 == passage.extent.first
    )


def _join(group: Sequence[Passage]) -> Passage:
    extents = [passage.extent for passage in group if passage.extent]
    text = ""
    for n, (passage, extent) in enumerate(zip(group, extents, strict=True)):
        piece = passage.text
        if n + 1 < len(extents) and extents[n + 1].repeated:
            # Cut from what follows: the fence that closes this part comes too early.
            piece = piece[: extent.repeated + extent.end - extent.start]
        if n:
            gap = extent.start - extents[n - 1].end
            text += "\n\n" if gap > 1 else "\n" * max(gap, 0)
            piece = piece[extent.repeated - min(gap, 0) :]
        text += piece
    whole = extents[0].model_copy(update={"last": extents[-1].last, "end": extents[-1].end})
    best = min(group, key=lambda passage: passage.rank)
    return best.model_copy(update={"text": text, "extent": whole})

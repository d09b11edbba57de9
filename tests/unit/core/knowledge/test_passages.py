"""What is read: every place once, neighbours together, and every character as the document has it."""

from __future__ import annotations

import pytest

from core.answers import Extent, Passage
from core.knowledge.chunking import ChunkingPolicy, chunk_text
from core.knowledge.passages import MOST_CHARACTERS, drop_repeats, merge_neighbours

TABLE = "\n".join(
    ["| Country | Days |", "| --- | --- |", *(f"| Country number {n} | {n} |" for n in range(30))]
)
CODE = "\n".join(["```sh", *(f"make target-number-{n}" for n in range(30)), "```"])
PROSE = " ".join(f"Sentence number {n} is about topic {n} and says little." for n in range(12))
LIST = "\n".join(f"- item {n} holds about ten words, which is quite usual here" for n in range(12))


def passages_of(text: str, document_id: int = 1, budget: int = 60) -> list[Passage]:
    policy = ChunkingPolicy(budget_tokens=budget)
    return [
        Passage(
            chunk_id=chunk.position,
            document_id=document_id,
            title="T",
            uri="u",
            heading_path=chunk.heading_path,
            text=chunk.text,
            rank=chunk.position + 1,
            score=1.0,
            extent=Extent(
                first=chunk.position,
                last=chunk.position,
                start=chunk.start,
                end=chunk.end,
                repeated=chunk.repeated,
            ),
        )
        for chunk in chunk_text(text, policy=policy)
    ]


@pytest.mark.parametrize("text", [TABLE, CODE, PROSE, LIST, f"{PROSE}\n\n{CODE}\n\nMore.\n\n- End."])
def test_neighbours_read_as_the_document_does(text: str) -> None:
    passages = passages_of(text)
    assert len(passages) > 1

    (merged,) = merge_neighbours(passages)

    assert merged.text == text
    assert merged.extent is not None
    assert (merged.extent.start, merged.extent.end) == (0, len(text))


def test_the_merged_passage_stands_at_the_place_of_the_best_and_keeps_its_figures() -> None:
    first, second, *_ = passages_of(PROSE)
    other = passages_of("Something else.", document_id=2)[0].model_copy(update={"rank": 2, "chunk_id": 99})
    best = second.model_copy(update={"rank": 1, "score": 9.0, "similarity": 0.7})

    merged = merge_neighbours([best, other, first.model_copy(update={"rank": 3, "score": 1.0})])

    assert [(passage.rank, passage.chunk_id) for passage in merged] == [(1, second.chunk_id), (2, 99)]
    assert (merged[0].score, merged[0].similarity) == (9.0, 0.7)
    assert merged[0].text.startswith("Sentence number 0 ")


def test_parts_of_other_sections_and_parts_with_something_between_stay_apart() -> None:
    text = f"# One\n\n{PROSE}\n\n# Two\n\n{PROSE}"
    passages = passages_of(text)
    last_of_one = max(n for n, passage in enumerate(passages) if passage.heading_path == ("One",))

    assert len(merge_neighbours(passages[last_of_one : last_of_one + 2])) == 2
    assert len(merge_neighbours([passages[0], passages[2]])) == 2


def test_what_is_merged_stays_short_enough_to_point_at() -> None:
    merged = merge_neighbours(passages_of(PROSE * 12))

    assert len(merged) > 1
    assert max(len(passage.text) for passage in merged) <= MOST_CHARACTERS


def test_passages_of_unknown_place_are_left_as_they_are() -> None:
    passages = [p.model_copy(update={"extent": None}) for p in passages_of(PROSE)]

    assert merge_neighbours(passages) == passages


def test_a_place_that_was_found_twice_is_read_once_where_it_ranks_best() -> None:
    first, second, *_ = passages_of(PROSE)
    again = first.model_copy(update={"chunk_id": 77, "rank": 3})

    assert drop_repeats([first, second, again]) == [first, second]

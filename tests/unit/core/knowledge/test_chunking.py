"""Chunks follow the structure of the text, are verbatim slices of it, and lose nothing."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.knowledge.blocks import BlockKind, parse_blocks
from core.knowledge.chunking import (
    ChunkingPolicy,
    ChunkingStrategy,
    chunk_text,
    embedding_text,
    estimate_tokens,
)
from core.knowledge.documents import ChunkDraft

unhurried = settings(deadline=None)

WORDS = st.text(alphabet="abcdefgh .,!?äé中", min_size=1, max_size=60)
LINES = st.one_of(
    WORDS,
    st.sampled_from(["", "", "# One", "## Two", "### Three", "Four", "====", "----", "|a|b|", "|--|--|"]),
    st.sampled_from(
        ["- item", "1. first", "  - nested", "    code", "```", "```py", "~~~", "<!-- x -->", "> q"]
    ),
    WORDS.map(lambda words: f"- {words}"),
    WORDS.map(lambda words: f"## {words}"),
)
TEXTS = st.lists(LINES, max_size=40).map("\n".join)
POLICIES = st.builds(
    ChunkingPolicy,
    budget_tokens=st.integers(8, 120),
    overlap_tokens=st.integers(0, 30),
    small_tokens=st.integers(0, 60),
)
EVERY_STRATEGY = st.builds(
    ChunkingPolicy,
    strategy=st.sampled_from(ChunkingStrategy),
    budget_tokens=st.integers(8, 120),
    overlap_tokens=st.integers(0, 30),
    child_tokens=st.integers(8, 60),
    parent_tokens=st.integers(60, 160),
)


@unhurried
@given(TEXTS, EVERY_STRATEGY)
def test_offsets_are_exact_and_positions_count_from_zero(text: str, policy: ChunkingPolicy) -> None:
    chunks = chunk_text(text, policy=policy)

    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        own = chunk.text[chunk.repeated : chunk.repeated + chunk.end - chunk.start]
        assert own == text[chunk.start : chunk.end]
        assert chunk.text[: chunk.repeated].strip() in text
        assert own.strip()
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)


@unhurried
@given(TEXTS, EVERY_STRATEGY)
def test_no_text_is_lost(text: str, policy: ChunkingPolicy) -> None:
    chunks = chunk_text(text, policy=policy)

    covered = {n for chunk in chunks for n in range(chunk.start, chunk.end)}
    headings = [block for block in parse_blocks(text) if block.kind is BlockKind.HEADING]
    for n, character in enumerate(text):
        if not character.isspace() and n not in covered:
            heading = next(block for block in headings if block.start <= n < block.end)
            assert not heading.title or any(heading.title in chunk.heading_path for chunk in chunks)


@unhurried
@given(TEXTS, st.integers(20, 120))
def test_a_block_that_fits_is_never_cut(text: str, budget: int) -> None:
    chunks = chunk_text(text, policy=ChunkingPolicy(budget_tokens=budget))

    for block in parse_blocks(text):
        # Half of the budget is the text's own, however long the headings above it are.
        if (
            block.kind is not BlockKind.HEADING
            and estimate_tokens(text[block.start : block.end]) <= budget // 2
        ):
            assert any(c.start <= block.start and block.end <= c.end for c in chunks)


@unhurried
@given(TEXTS, POLICIES)
def test_chunks_stay_within_their_budget(text: str, policy: ChunkingPolicy) -> None:
    for chunk in chunk_text(text, policy=policy):
        tokens = estimate_tokens(chunk.text)
        headings = estimate_tokens(" ".join(chunk.heading_path))
        only_a_heading = [block.kind for block in parse_blocks(chunk.text)] == [BlockKind.HEADING]
        assert tokens <= max(policy.budget_tokens - headings, policy.budget_tokens // 2) or only_a_heading


def chunks_of(text: str, budget: int = 40, **policy: int) -> list[ChunkDraft]:
    return chunk_text(text, policy=ChunkingPolicy(budget_tokens=budget, **policy))


def test_the_heading_path_leads_from_the_outermost_heading_inwards() -> None:
    text = "Intro.\n\n# Leave\n\nAll.\n\n## Sick\n\nIll.\n\n### Proof ###\n\nPaper.\n\n## Annual\n\nRest.\n"

    chunks = chunks_of(text, small_tokens=0)

    assert [(chunk.heading_path, chunk.text) for chunk in chunks] == [
        ((), "Intro."),
        (("Leave",), "All."),
        (("Leave", "Sick"), "Ill."),
        (("Leave", "Sick", "Proof"), "Paper."),
        (("Leave", "Annual"), "Rest."),
    ]


def test_underlined_headings_count() -> None:
    chunks = chunks_of("Leave\n=====\n\nAll.\n\nSick\n----\n\nIll.", small_tokens=0)

    assert [chunk.heading_path for chunk in chunks] == [("Leave",), ("Leave", "Sick")]


def test_a_heading_mark_within_code_is_code() -> None:
    (chunk,) = chunks_of("# Run\n\n```sh\n# not a heading\nmake\n```")

    assert chunk.heading_path == ("Run",)
    assert chunk.text == "```sh\n# not a heading\nmake\n```"


def test_a_heading_without_text_below_it_is_a_chunk_of_its_own() -> None:
    chunks = chunks_of("# Guide\n\n## Later\n", small_tokens=0)

    assert [(chunk.heading_path, chunk.text) for chunk in chunks] == [(("Guide",), "## Later")]


def test_small_neighbouring_sections_share_a_chunk_with_their_headings_in_its_text() -> None:
    text = "# FAQ\n\n## Pets?\n\nNo.\n\n## Bikes?\n\nYes.\n\n## Cars?\n\n" + "Word " * 30

    first, second = chunks_of(text)

    assert first.heading_path == ("FAQ",)
    assert first.text == "## Pets?\n\nNo.\n\n## Bikes?\n\nYes."
    assert second.heading_path == ("FAQ", "Cars?")


def test_a_long_list_is_split_between_its_items() -> None:
    items = [f"- item {n} holds about ten words, which is quite usual here" for n in range(12)]

    chunks = chunks_of("\n".join(items), overlap_tokens=0)

    assert len(chunks) > 2
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == items


def test_a_list_with_paragraphs_and_code_in_its_items_is_one_block() -> None:
    text = "1. First\n\n   More on it.\n\n   ```sh\n   make\n\n   make test\n   ```\n\n2. Second\n\nAfter."

    blocks = [text[block.start : block.end] for block in parse_blocks(text)]

    assert blocks == [text.removesuffix("\n\nAfter."), "After."]


def test_a_long_paragraph_is_split_at_sentences_with_a_small_overlap() -> None:
    sentences = [f"Sentence number {n} is about topic {n} and says little." for n in range(10)]
    text = " ".join(sentences)

    chunks = chunks_of(text, overlap_tokens=6)

    assert all(chunk.text.endswith(".") for chunk in chunks)
    for left, right in pairwise(chunks):
        assert 0 < left.end - right.start <= 6 * 8
        assert text[right.start - 1] == " "


def test_blocks_that_are_not_split_do_not_overlap() -> None:
    text = "\n\n".join(f"Paragraph {n} has its own words and no others." for n in range(12))

    chunks = chunks_of(text)

    assert all(left.end <= right.start for left, right in pairwise(chunks))


def test_a_long_word_is_cut_rather_than_left_too_long() -> None:
    chunks = chunks_of("x" * 5000)

    assert max(estimate_tokens(chunk.text) for chunk in chunks) <= 40
    assert re.fullmatch("x+", chunks[0].text)


def test_a_blank_text_has_no_chunks() -> None:
    assert chunk_text(" \n\n\t\n") == []


def test_what_is_embedded_says_title_and_headings_once() -> None:
    chunk = ChunkDraft(position=0, text="Ill.", heading_path=("Leave", "Sick"), start=0, end=4)

    assert embedding_text("Handbook", chunk) == "Handbook › Leave › Sick\n\nIll."
    assert embedding_text("Leave", chunk) == "Leave › Sick\n\nIll."
    assert embedding_text("", chunk.model_copy(update={"heading_path": ()})) == "Ill."


def test_headings_that_lead_to_nothing_else_stay_when_small_sections_are_joined() -> None:
    chunks = chunk_text("# One\n## Two\n# Three", policy=ChunkingPolicy(budget_tokens=60))
    assert [chunk.text for chunk in chunks] == ["# One\n## Two\n# Three"]

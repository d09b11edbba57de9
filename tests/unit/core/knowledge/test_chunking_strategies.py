"""What each way of slicing keeps together, and what is said again where something had to be cut."""

from __future__ import annotations

from itertools import groupby, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy, chunk_text, estimate_tokens
from core.knowledge.chunking.conversation import parse_messages, render_message
from core.knowledge.documents import ChunkDraft

HEADER = "| Country | Days |\n| --- | ---: |"


def chunks_of(
    text: str, strategy: ChunkingStrategy = ChunkingStrategy.STRUCTURE, **figures: int
) -> list[ChunkDraft]:
    return chunk_text(text, policy=ChunkingPolicy(strategy=strategy, **{"budget_tokens": 60, **figures}))


def test_a_long_table_is_cut_between_rows_and_every_part_has_the_header() -> None:
    rows = [f"| Country number {n} with a long name | {n} |" for n in range(20)]

    chunks = chunks_of("\n".join([HEADER, *rows]))

    assert len(chunks) > 3
    assert all(chunk.text.startswith(f"{HEADER}\n| Country number") for chunk in chunks)
    assert [line for chunk in chunks for line in chunk.text.removeprefix(HEADER).strip().split("\n")] == rows
    assert max(estimate_tokens(chunk.text) for chunk in chunks) <= 60


def test_a_table_without_a_header_row_repeats_nothing() -> None:
    chunks = chunks_of("\n".join(f"| Country number {n} with a long name | {n} |" for n in range(20)))

    assert len(chunks) > 2
    assert all(chunk.repeated == 0 for chunk in chunks)
    assert all(line.endswith("|") for chunk in chunks for line in chunk.text.split("\n"))


def test_a_row_that_is_longer_than_a_chunk_is_cut_and_its_neighbours_stay_whole() -> None:
    text = "\n".join([HEADER, "| Chad | 1 |", f"| Peru | {'word ' * 100}|", "| Mali | 3 |"])

    chunks = chunks_of(text)

    assert chunks[0].text == f"{HEADER}\n| Chad | 1 |"
    assert chunks[-1].text == f"{HEADER}\n| Mali | 3 |"
    assert max(estimate_tokens(chunk.text) for chunk in chunks) <= 60


def test_every_part_of_cut_code_is_fenced() -> None:
    lines = [f"do_something(number={n})" for n in range(30)]

    chunks = chunks_of("\n".join(["````python", *lines, "````"]))

    assert len(chunks) > 2
    assert all(c.text.startswith("````python\ndo_") and c.text.endswith(")\n````") for c in chunks)
    assert [line for c in chunks for line in c.text.split("\n")[1:-1]] == lines


PYTHON = '''"""Counts things."""

import math

LIMIT = 3


@cached
def count(things):
    """How many.

not_a_definition = "it stands in a docstring"
    """
    return len(things)


class Counter:
    """Counts on and on."""

    def add(self, one):
        self.total += one
        return self.total

    def reset(
        self,
        to=0,
    ):
        self.total = to


def last():
    return LIMIT
'''


def test_code_is_cut_between_definitions_and_says_which() -> None:
    chunks = chunks_of(f"```python\n{PYTHON}```", ChunkingStrategy.CODE, budget_tokens=50)

    starts = {chunk.heading_path: chunk.text.split("\n")[1] for chunk in chunks}
    assert starts[("count",)] == "@cached"
    assert ("Counter", "reset") in starts or ("Counter",) in starts
    assert not any(start.startswith("not_a_definition") for start in starts.values())
    assert all(chunk.text.startswith("```python\n") and chunk.text.endswith("\n```") for chunk in chunks)


def test_definitions_of_other_languages_are_found_by_their_shape() -> None:
    body = "".join(f"    step_number_{n}();\n" for n in range(12))
    go = f"package main\n\n// Serve waits.\nfunc (s *Server) Serve() {{\n{body}}}\n\ntype Server struct {{\n{body}}}\n"
    rust = f"pub fn first() {{\n{body}}}\n\nimpl Second {{\n{body}}}\n"

    paths = [
        {
            chunk.heading_path
            for chunk in chunks_of(f"```\n{code}```", ChunkingStrategy.CODE, budget_tokens=90)
        }
        for code in (go, rust)
    ]

    assert {("Serve",), ("Server",)} <= paths[0]
    assert {("first",), ("Second",)} <= paths[1]


def thread(*said: tuple[str, str]) -> str:
    return "\n\n".join(render_message(name, text, "2026-11-22 16:40") for name, text in said)


def test_messages_stay_whole_and_the_next_window_begins_with_the_last_message() -> None:
    text = thread(*((f"Person {n % 3}", f"Message number {n} says this and that.") for n in range(12)))

    chunks = chunks_of(text, ChunkingStrategy.CONVERSATION, budget_tokens=100)

    assert len(chunks) > 2
    assert all(chunk.text.startswith("**Person ") and chunk.text.endswith("that.") for chunk in chunks)
    for left, right in pairwise(chunks):
        assert right.text.startswith(text[right.start : left.end])
        assert left.end > right.start
    assert {n for n in range(12) if any(f"number {n} says" in c.text for c in chunks)} == set(range(12))


def test_a_message_that_is_longer_than_a_window_names_its_speaker_in_every_part() -> None:
    text = thread(("Ada", "Hi."), ("Grace", "This is a sentence. " * 40), ("Ada", "Thanks."))

    chunks = chunks_of(text, ChunkingStrategy.CONVERSATION)

    parts = [chunk for chunk in chunks if "This is a sentence." in chunk.text]
    assert len(parts) > 2
    assert all(part.text.startswith("**Grace** · 2026-11-22 16:40\n\nThis") for part in parts)


def test_conversations_are_known_in_the_ways_that_chats_are_written_down() -> None:
    for text in (
        "[2026-11-22 16:40] Ada: Where is it?\nstill asking\n[2026-11-22 16:41] Grace: There.",
        "16:40:02 <Ada> : no\n16:40:02 Ada: Where?\n16:41:00 Grace: There.",
        "Ada  [4:40 PM]\nWhere?\n\nGrace Hopper  [4:41 PM]\nThere.",
    ):
        assert len(parse_messages(text)) >= 2
    assert parse_messages("Note: this is no chat.\n\n## Ada: a heading\n\nTime: 10:30") == []


def test_what_is_no_conversation_is_sliced_by_structure() -> None:
    text = "# Leave\n\nTell your manager.\n\n## Sick\n\n" + "Stay in bed. " * 40

    assert chunks_of(text, ChunkingStrategy.CONVERSATION) == chunks_of(text)


def test_recursive_slices_know_no_headings() -> None:
    chunks = chunks_of("# Leave\n\n" + "Stay in bed. " * 60, ChunkingStrategy.RECURSIVE)

    assert len(chunks) > 2
    assert all(chunk.heading_path == () for chunk in chunks)
    assert chunks[0].text.startswith("# Leave")


BLOCKS = st.lists(
    st.one_of(
        st.integers(1, 12).map(lambda n: "A sentence of some words. " * n),
        st.integers(1, 12).map(lambda n: "\n".join(["```sh", *["make everything"] * n, "```"])),
        st.integers(1, 12).map(lambda n: "\n".join([HEADER, *["| Chad and Mali | 12 |"] * n])),
        st.sampled_from(["# One", "## Two", "- item one\n- item two"]),
    ),
    min_size=1,
    max_size=12,
).map("\n\n".join)


@settings(deadline=None)
@given(BLOCKS)
def test_small_pieces_of_one_parent_make_up_its_text(text: str) -> None:
    policy = ChunkingPolicy(strategy=ChunkingStrategy.SMALL_TO_BIG, child_tokens=24, parent_tokens=80)

    chunks = chunk_text(text, policy=policy)

    for _, group in groupby(chunks, key=lambda chunk: chunk.parent):
        children = list(group)
        assert all(left.end == right.start for left, right in pairwise(children))
        assert "".join(text[c.start : c.end] for c in children) == text[children[0].start : children[-1].end]
        assert len({child.heading_path for child in children}) == 1
        assert all(estimate_tokens(text[child.start : child.end]) <= 24 for child in children)
        assert all(child.text.count("```") % 2 == 0 for child in children)

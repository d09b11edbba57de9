"""Splitting a Markdown text: limits, fences, boundaries, and that nothing is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.splitting import CAPPED, cap_markdown, split_markdown

FENCE_LINE = re.compile(r"^[ \t]*(`{3,}|~{3,})\w*[ \t]*$")

words = st.text(alphabet=st.sampled_from("abcdé漢🙂.!?,-*_[]()|#> "), min_size=1, max_size=60)
code = st.builds(
    lambda language, lines: f"```{language}\n" + "\n".join(lines) + "\n```",
    st.sampled_from(["", "python", "sql"]),
    st.lists(st.text(alphabet="xyz =()", max_size=90), max_size=12),
)
items = st.builds(lambda texts: "\n".join(f"- {t}" for t in texts), st.lists(words, min_size=1, max_size=6))
tables = st.builds(lambda rows: "\n".join(f"| {r} |" for r in rows), st.lists(words, min_size=1, max_size=6))
texts = st.lists(words | code | items | tables, max_size=10).map("\n\n".join)


def visible(text: str) -> str:
    """Everything but white space and the lines that open and close code blocks."""
    kept = [line for line in text.splitlines() if not FENCE_LINE.match(line)]
    return "".join("".join(kept).split())


@given(text=texts, limit=st.integers(min_value=40, max_value=400))
@example(text="```python\n" + "x = 1\n" * 60 + "```\nafter", limit=60)
@example(text="a" * 200, limit=40)
@example(text="```\n" + "y" * 200, limit=40)
@settings(max_examples=300, deadline=None)
def test_parts_are_short_enough_not_empty_balanced_and_lose_nothing(text: str, limit: int) -> None:
    parts = split_markdown(text, limit)
    assert all(part.strip() and len(part) <= limit for part in parts)
    assert "".join(map(visible, parts)) == visible(text)
    for part in parts:
        assert sum(1 for line in part.splitlines() if FENCE_LINE.match(line)) % 2 == 0


@given(text=st.text(max_size=600), limit=st.integers(min_value=16, max_value=100))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_is_split_within_the_limit(text: str, limit: int) -> None:
    assert all(part.strip() and len(part) <= limit for part in split_markdown(text, limit))


def test_a_short_text_stays_as_it_is() -> None:
    text = "# Title\n\nOne **two**.\n\n- a\n- b\n\n```sql\nselect 1;\n```"
    assert split_markdown(text, 2000) == [text]


def test_nothing_makes_no_part() -> None:
    assert split_markdown(" \n\n ", 100) == []


def test_paragraphs_are_kept_whole_where_they_fit() -> None:
    first, second = "One sentence here. " * 3, "Another one there. " * 3
    assert split_markdown(f"{first}\n\n{second}", 70) == [first.strip(), second.strip()]


def test_a_list_is_cut_between_its_items() -> None:
    text = "\n".join(f"- item {n} with some words\n  and a second line" for n in range(6))
    parts = split_markdown(text, 100)
    assert all(part.startswith("- item") and part.endswith("second line") for part in parts)


def test_a_nested_item_keeps_its_indentation_after_a_cut() -> None:
    parts = split_markdown("- outer item of the list\n  - inner item of the list", 30)
    assert parts == ["- outer item of the list", "  - inner item of the list"]


def test_a_table_that_fits_moves_to_the_next_part_whole() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    assert split_markdown("Some words before the table.\n\n" + table, 40) == [
        "Some words before the table.",
        table,
    ]


@pytest.mark.parametrize("lead_in", ["## Steps", "**Sources**", "Do this:"])
def test_a_heading_stays_with_what_it_leads_to(lead_in: str) -> None:
    parts = split_markdown(
        f"A paragraph of some length before it.\n\n{lead_in}\n1. the first of the items", 60
    )
    assert parts == ["A paragraph of some length before it.", f"{lead_in}\n1. the first of the items"]


def test_a_heading_stays_with_the_beginning_of_a_long_block() -> None:
    parts = split_markdown(
        "Some more words stand before it.\n\n## Code\n```py\n" + "x = 1\n" * 30 + "```", 60
    )
    assert parts[0] == "Some more words stand before it."
    assert parts[1].startswith("## Code\n```py\nx = 1")


def test_a_code_block_is_closed_and_opened_again_with_its_language() -> None:
    lines = [f"value_{n} = {n}" for n in range(20)]
    parts = split_markdown("```python title=x\n" + "\n".join(lines) + "\n```\nAfter.", 100)
    assert parts[0].startswith("```python title=x\n")
    assert all(part.startswith("```python\n") for part in parts[1:])
    assert all("\n```" in part for part in parts)
    assert parts[-1].endswith("After.")
    assert [line for part in parts for line in part.splitlines() if line.startswith("value")] == lines


def test_a_code_block_left_open_is_closed() -> None:
    assert split_markdown("Look:\n```py\nx = 1", 100) == ["Look:\n```py\nx = 1\n```"]


def test_sentences_are_preferred_to_words() -> None:
    text = "This is the first sentence. This is the second one, which is longer. Third."
    assert split_markdown(text, 50)[0] == "This is the first sentence."


def test_a_link_is_not_torn_apart() -> None:
    text = "word " * 8 + "[a title of words](https://example.org/page) and more words after it"
    parts = split_markdown(text, 60)
    assert any("[a title of words](https://example.org/page)" in part for part in parts)


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        split_markdown("text", 5)


def test_a_text_beyond_all_measure_is_capped_with_a_line_that_says_so() -> None:
    long = "Intro.\n\n```python\n" + "print('x' * 80)\n" * 12_000 + "```\nEnd."
    capped = cap_markdown(long, 40_000)
    assert len(capped) <= 40_000 + len(CAPPED) + 2
    assert capped.endswith(CAPPED)
    assert capped.count("```") == 2
    assert cap_markdown("short", 40_000) == "short"

"""Answers as Slack shows them: numbered sources, thumbs, nobody pinged, nothing carried away."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.render import (
    MARKDOWN_LIMIT,
    blocks_of,
    fallback_of,
    render_answer,
    render_notice,
    safe_markdown,
    safe_partial,
    tail_of,
    text_of,
    without_mentions,
)
from bot.splitting import CAPPED
from core.answers import Answer, Citation

TURN = UUID("11111111-2222-3333-4444-555555555555")


def cited(text: str, *sources: tuple[str, str]) -> Answer:
    return Answer(
        text=text,
        citations=tuple(
            Citation(n=n, chunk_id=n, document_id=n, title=title, uri=uri, quote="q")
            for n, (title, uri) in enumerate(sources, start=1)
        ),
    )


def source_lines(answer: Answer) -> list[str]:
    (rendered,) = render_answer(answer, TURN)
    return [
        element["text"]
        for block in tail_of(rendered)
        if isinstance(block, dict) and block["type"] == "context"
        for element in block["elements"]
    ]


def test_sources_are_numbered_and_link_only_to_the_web() -> None:
    answer = cited(
        "Text [1] [2] [3].",
        ("The manual", "https://docs.example.org/a?b=1&c=2"),
        ("setup.md", "docs/setup.md"),
        ("odd", "javascript:alert(1)"),
    )
    assert source_lines(answer) == [
        "[1] <https://docs.example.org/a?b=1&amp;c=2|The manual>",
        "[2] setup.md",
        "[3] odd",
    ]


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("a <b> & c", "a &lt;b&gt; &amp; c"),
        ("<!channel> news", "＠channel news"),
        ("x|y>z", "x¦y&gt;z"),
        ("two\nlines", "two lines"),
        ("", "source"),
        ("t" * 500, "t" * 150),
    ],
)
def test_titles_are_only_text(title: str, shown: str) -> None:
    assert source_lines(cited("x [1]", (title, "docs/a.md"))) == [f"[1] {shown}"]


def test_many_sources_stay_within_the_limits_of_blocks() -> None:
    answer = cited("x", *((f"t{n}", f"https://docs.example.org/{n}") for n in range(35)))
    (rendered,) = render_answer(answer, TURN)
    contexts = [b for b in blocks_of(rendered) if isinstance(b, dict) and b["type"] == "context"]
    assert [len(block["elements"]) for block in contexts] == [10, 10, 10, 5]


def test_the_thumbs_carry_the_turn_and_the_rating() -> None:
    (rendered,) = render_answer(cited("x"), TURN)
    (block,) = [b for b in tail_of(rendered) if isinstance(b, dict) and b["type"] == "context_actions"]
    element = block["elements"][0]
    assert element["positive_button"]["value"] == f"{TURN}:1"
    assert element["negative_button"]["value"] == f"{TURN}:-1"


def test_a_notice_has_no_thumbs_and_no_links() -> None:
    notice = render_notice("Sorry, see https://evil.example/x <!here>")
    assert tail_of(notice) == []
    assert text_of(notice) == "Sorry, see `evil.example/x` ＠here"


def test_a_long_answer_is_split_and_only_the_last_part_has_sources_and_thumbs() -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 200 for n in range(40))
    parts = render_answer(cited(text, ("t", "docs/a.md")), TURN)
    assert len(parts) > 2
    assert all(0 < len(text_of(part)) <= MARKDOWN_LIMIT for part in parts)
    assert [bool(tail_of(part)) for part in parts] == [False] * (len(parts) - 1) + [True]


def test_the_fallback_is_escaped_and_short() -> None:
    (rendered,) = render_answer(cited("1 < 2 & 3 " * 1000), TURN)
    assert "<" not in fallback_of(rendered)
    assert len(fallback_of(rendered)) < 8000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel>", "＠channel"),
        ("<!HERE|here>", "＠here"),
        ("<!subteam^S123|@ops> go", "＠ops go"),
        ("<@U123> and <@W9|kim>", "＠U123 and ＠kim"),
        ("< ! channel >", "＠channel"),
        ("&lt;!channel&gt;", "＠channel"),
        ("&#60;!channel>", "＠channel"),
        ("@everyone @Here @channel", "＠everyone ＠Here ＠channel"),
        ("`<!channel>`", "`＠channel`"),
        ("<#C123|general>", "#general"),
        ("<!DOCTYPE html> <!-- a comment -->", "<!DOCTYPE html> <!-- a comment -->"),
        ("a < b, List<String>, me@example.org", "a < b, List<String>, me@example.org"),
    ],
)
def test_mentions_become_words(text: str, shown: str) -> None:
    assert without_mentions(text) == shown


PINGS = re.compile(r"<\s*(?:@|!\s*(?!doctype)[a-z])|@(?:everyone|channel|here)\b", re.IGNORECASE)
PIECES = st.sampled_from(
    ["<", ">", "!", "@", "#", "|", "&lt;", "&gt;", "&#60;", "&", "channel", "here", "everyone", "HERE", "subteam^S1",
     "U123", "W1", "\u200b", "\u200d", "\ufe0f", "\U000e0021", " ", "\n", "`", "```", "*", "text", "[", "](", ")"]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_construction_pings(text: str) -> None:
    for shown in (safe_markdown(text, cited("")), safe_partial(text)):
        assert not PINGS.search(shown), shown
    title = source_lines(cited("x [1]", (text, "docs/a.md")))[0]
    assert "<" not in title


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello", "Hello"),
        ("Hello world.", "Hello world."),
        ("See https://evil.exam", "See "),
        ("See [the docs](https://ev", "See "),
        ("See [the do", "See "),
        ("As said [1", "As said "),
        ("Ping <!chan", "Ping "),
        ("Ping <!channel", "Ping "),
        ("Run `make", "Run "),
    ],
)
def test_what_may_become_something_is_held_back_while_it_is_written(text: str, shown: str) -> None:
    assert safe_partial(text) == shown


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.integers(0, 200))
def test_a_text_on_its_way_shows_no_more_than_the_limit_and_no_link(text: str, cut: int) -> None:
    shown = safe_partial(text[:cut] + " https://evil.example/x " + text[cut:])
    assert "https://" not in shown


@pytest.mark.parametrize(
    "line", ["print('x' * 80)\n", "word " * 30 + "`code`. ", "x", "- [a](https://e.example/b) ``` "]
)
def test_an_answer_of_200_kb_becomes_few_messages_with_whole_code_blocks(line: str) -> None:
    text = "Look:\n\n```python\n" + line * (200_000 // len(line)) + "\n```\n"
    answer = Answer(text=text)
    parts = [str(rendered.body["markdown"]) for rendered in render_answer(answer, TURN)]
    assert 1 < len(parts) <= 4
    for part in parts:
        assert 0 < len(part) <= 12_000
        assert part.count("```") % 2 == 0 or "- [a]" in line
    assert CAPPED in parts[-1]

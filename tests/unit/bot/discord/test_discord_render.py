"""An Answer becomes Discord messages that are short enough, ping nobody and preview nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.discord.render import MESSAGE_LIMIT, NO_MENTIONS, render_answer, render_notice, render_partial
from bot.splitting import CAPPED
from core.answers import Answer, Citation

TURN = uuid4()


def citation(n: int = 1, title: str = "Manual", uri: str = "https://docs.example.org/a") -> Citation:
    return Citation(n=n, chunk_id=n, document_id=n, title=title, uri=uri, quote="q")


def content_of(answer: Answer) -> str:
    (rendered,) = render_answer(answer, TURN)
    return str(rendered.body["content"])


def test_sources_are_numbered_links_without_previews() -> None:
    answer = Answer(text="So [1][2].", citations=(citation(), citation(2, "Notes", "file:///srv/notes.md")))
    assert content_of(answer) == (
        "So [1][2].\n\n**Sources**\n1. [Manual](<https://docs.example.org/a>)\n2. Notes"
    )


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "https://a@b.example/", "ftp://x.org/a"]
)
def test_only_web_addresses_become_links(uri: str) -> None:
    assert "](" not in content_of(Answer(text="So.", citations=(citation(uri=uri),)))


def test_a_title_cannot_break_out_of_its_link() -> None:
    text = content_of(
        Answer(text="So.", citations=(citation(title="a](https://evil.example) @everyone `x"),))
    )
    assert "](<https://docs.example.org/a>)" in text
    assert "](https://evil" not in text
    assert "@everyone" not in text


def test_a_link_that_no_source_vouches_for_is_not_clickable() -> None:
    text = content_of(
        Answer(
            text="See [this](https://evil.example/?q=secret) and https://docs.example.org/b",
            citations=(citation(),),
        )
    )
    assert "](https://evil" not in text
    assert "https://docs.example.org/b" in text


@pytest.mark.parametrize(
    "text",
    ["@everyone", "@HERE", "@every\u200bone", "<@123>", "<@!123>", "<@&123>", "`@everyone`", "<@\u2060&1>"],
)
def test_mentions_are_defused(text: str) -> None:
    for rendered in (*render_answer(Answer(text=text), TURN), render_notice(text), render_partial(text)):
        content = str(rendered.body["content"])
        assert "@everyone" not in content.lower()
        assert "@here" not in content.lower()
        assert "<@" not in content
        assert rendered.body["allowed_mentions"] == NO_MENTIONS


@given(st.text(max_size=6000), st.integers(min_value=0, max_value=30))
@settings(max_examples=60, deadline=None)
def test_every_part_is_sendable(text: str, sources: int) -> None:
    answer = Answer(text=text, citations=tuple(citation(n + 1) for n in range(sources)))
    for rendered in (*render_answer(answer, TURN), render_partial(text or "x")):
        assert len(str(rendered.body["content"])) <= MESSAGE_LIMIT
        assert rendered.body["flags"] == 4
    assert all(str(r.body["content"]).strip() for r in render_answer(answer, TURN))


def test_the_buttons_stand_under_the_last_part_only() -> None:
    *others, last = render_answer(Answer(text="word " * 1000), TURN)
    assert others
    assert all(rendered.body["components"] == [] for rendered in others)
    assert TURN.hex in str(last.body["components"])


def test_a_code_block_left_open_does_not_swallow_the_sources() -> None:
    text = content_of(Answer(text="```py\nx = 1", citations=(citation(),)))
    assert text.index("\n```\n") < text.index("**Sources**")


def test_a_notice_has_no_buttons_and_is_never_empty() -> None:
    assert render_notice("Sorry.").body["components"] == []
    assert render_notice(" ").body["content"]


def test_a_half_written_answer_has_no_links_yet() -> None:
    assert "](https://" not in str(render_partial("See [x](https://docs.example.org/a)").body["content"])


@pytest.mark.parametrize(
    "line", ["print('x' * 80)\n", "word " * 30 + "`code`. ", "x", "- [a](https://e.example/b) ``` "]
)
def test_an_answer_of_200_kb_becomes_few_messages_with_whole_code_blocks(line: str) -> None:
    text = "Look:\n\n```python\n" + line * (200_000 // len(line)) + "\n```\n"
    answer = Answer(text=text)
    parts = [str(rendered.body["content"]) for rendered in render_answer(answer, TURN)]
    assert 1 < len(parts) <= 24
    for part in parts:
        assert 0 < len(part) <= MESSAGE_LIMIT
        assert part.count("```") % 2 == 0 or "- [a]" in line
    assert CAPPED in parts[-1]

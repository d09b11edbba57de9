"""What may leave in a text: links to cited hosts, visible code points, nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.outgoing import allowed_links, is_web_link, source_hosts, strip_hidden
from core.answers import Answer, Citation

GOOD = "https://docs.example.org/a"
EVIL = "evil.example"


def answer(*uris: str) -> Answer:
    return Answer(
        text="",
        citations=tuple(
            Citation(n=n, chunk_id=n, document_id=n, title="t", uri=uri, quote="q")
            for n, uri in enumerate(uris)
        ),
    )


CITED = answer(GOOD, "file:///srv/docs/setup.md", "docs/setup.md")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See [x](https://docs.example.org/b#c).", "See [x](https://docs.example.org/b#c)."),
        ("See https://docs.example.org/b, or", "See https://docs.example.org/b, or"),
        ("See <https://docs.example.org/b>", "See https://docs.example.org/b"),
        ("See <https://docs.example.org/b|this>", "See [this](https://docs.example.org/b)"),
        ("See [x](https://evil.example/?d=1).", "See x."),
        ('See [x](<https://evil.example/?d=1> "title").', "See x."),
        ("![pixel](https://evil.example/p.png)", "pixel"),
        ("![chart](https://docs.example.org/p.png)", "[chart](https://docs.example.org/p.png)"),
        ("See https://evil.example/a(b)c.", "See `evil.example/a(b)c`."),
        ("<https://evil.example|click>", "click"),
        (
            "[https://evil.example/x](https://docs.example.org)",
            "[`evil.example/x`](https://docs.example.org)",
        ),
        ("www.evil.example and evil.example/?d=1", "`www.evil.example` and `evil.example/?d=1`"),
        ("HTTPS://EVIL.EXAMPLE/x", "`EVIL.EXAMPLE/x`"),
        ("h\u200bttps://evil.example/x", "`evil.example/x`"),
        ("postgresql://user@host/db", "`postgresql://user@host/db`"),
        ("[mail](mailto:a@b.example)", "mail"),
        ("[run](javascript:alert(1))", "run"),
        ("[up](/etc/passwd)", "up"),
        ("Text [1] and [2].", "Text [1] and [2]."),
        ("README.md, e.g. bot/slack/events.py", "README.md, e.g. bot/slack/events.py"),
    ],
)
def test_links_stay_only_where_their_host_is_cited(text: str, expected: str) -> None:
    assert allowed_links(text, CITED) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.example.org@evil.example/",
        "https://docs.example.org\\@evil.example/",
        "https://docs.example.org%40evil.example/",
        "https://docs.example.org.evil.example/",
        "https://docs.example.org:8443/",
        "https://docs.example.orgx/",
        "https://xn--docs-example-org.evil/",
        "https://docs．example．org/",
        "//docs.example.org/",
        "https:docs.example.org",
        "ftp://docs.example.org/",
    ],
)
def test_an_address_that_only_looks_like_a_cited_host_is_no_link(url: str) -> None:
    assert "](" not in allowed_links(f"[t]({url})", CITED)


def test_reference_links_to_other_hosts_lose_their_target() -> None:
    text = "See [this][r] and [1].\n\n[r]: https://evil.example/?d=1\n[1]: <https://evil.example/2> 'x'\n"
    assert EVIL not in allowed_links(text, CITED)


@pytest.mark.parametrize(
    "code",
    [
        "Run `curl https://api.example.com/v1` now",
        "Run:\n\n```bash\ncurl https://api.example.com/v1\n```\n\nThen look.",
        "1. Run\n   ```\n   curl https://api.example.com/v1\n   ```\n2. Look",
    ],
)
def test_commands_in_code_stay_whole(code: str) -> None:
    assert allowed_links(code, CITED) == code


@pytest.mark.parametrize(
    "text",
    [
        "a `b\n` https://evil.example/ `c`",
        "- a\n  ```\nhttps://evil.example/\n```\n",
        "~~~\n```\n~~~\nhttps://evil.example/\n```\n",
        "<pre>\n```\n</pre>\nhttps://evil.example/\n```\n",
        "> ```\n```\nhttps://evil.example/\n```\n",
        "``a` https://evil.example/ `b``",
        "\\`https://evil.example/ `",
        "```\nhttps://evil.example/",
    ],
)
def test_what_only_some_dialects_take_for_code_is_not_taken_for_code(text: str) -> None:
    assert "://" not in allowed_links(text, CITED)


def test_only_web_addresses_count_as_hosts() -> None:
    assert source_hosts(answer(GOOD, "http://wiki:8080/x", "docs/a.md", "file:///x")) == {
        "docs.example.org",
        "wiki:8080",
    }
    assert is_web_link(GOOD)
    assert not is_web_link("docs/a.md")
    assert not is_web_link("javascript:alert(1)")
    assert not is_web_link("https://a.example/x y")


def test_hidden_characters_are_gone_and_words_stay() -> None:
    hidden = "\u200b\u200d\u2060\ufeff\u202e\u2066\U000e0041\ufe0f\u00ad\x00\x1b\ud800"
    assert strip_hidden(f"a{hidden}b\r\nc\u2028d\te") == "ab\nc\nd\te"
    assert strip_hidden("Grüße, 你好, שלום, 👍🏽 – fine.") == "Grüße, 你好, שלום, 👍🏽 – fine."


PIECES = st.sampled_from(
    [
        "https://evil.example/?leak=SECRET",
        "http://evil.example",
        "//evil.example",
        "www.evil.example/SECRET",
        "https://docs.example.org/a",
        "[", "]", "(", ")", "<", ">", "|", "!", "`", "```", "\n", "\n\n", " ", "~~~", '"', "\\", "* ", "> ", "    ",
        "[r]: ", "[t][r]", "text", "\u200b", "\u202e", "&#58;", "1. ", "# ", "<!--", "-->",
    ]
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
@example("[r]: https://docs.example.org/a1. https://evil.example/?leak=SECRET")
@example("[r]: <https://docs.example.org/a>[t](https://evil.example/)")
def test_no_construction_leaves_a_link_to_another_host(text: str) -> None:
    shown = allowed_links(text, CITED)
    assert not re.search(r"\[[^\n]*\]\(\s*<?(?!https://docs\.example\.org)[a-z]*:?//", shown)
    outside_code = re.sub(r"(?m)^ {0,3}```[\w+#.\-]*[ \t]*\n(?:.*\n)*? {0,3}```[ \t]*$|`[^`\n]+`", "", shown)
    assert not re.search(r"https?://(?!docs\.example\.org)", outside_code)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_nothing_hidden_leaves(text: str) -> None:
    shown = strip_hidden(text)
    assert strip_hidden(shown) == shown
    assert not re.search(
        "[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\U000e0000-\U000e007f\ud800-\udfff]", shown
    )
    shown.encode()

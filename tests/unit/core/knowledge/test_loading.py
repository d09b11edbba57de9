"""Every format becomes Markdown with a title, and what cannot be read says why in plain words."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import docx
import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from core.errors import SourceError
from core.knowledge.documents import Document
from core.knowledge.loading import fingerprint, load_document


def load(data: bytes | str, name: str, media_type: str | None = None, charset: str | None = None) -> Document:
    content = data.encode() if isinstance(data, str) else data
    return load_document(content, uri=f"here/{name}", name=name, media_type=media_type, charset=charset)


def reason_for(data: bytes, name: str) -> str:
    with pytest.raises(SourceError) as caught:
        load(data, name)
    assert caught.value.uri == f"here/{name}"
    return caught.value.reason


def make_pdf(*pages: str, title: str | None = None, password: str | None = None) -> bytes:
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(width=400, height=400)
        stream = DecodedStreamObject()
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        stream.set_data(f"BT /F1 12 Tf 20 300 Td {lines}ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def make_docx(fill: Callable[[docx.document.Document], object]) -> bytes:
    document = docx.Document()
    fill(document)
    output = io.BytesIO()
    document.save(output)
    return output.getvalue()


# --- Markdown and text ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Leave\ntags: [a]\n---\n# Other\n\nText.", "Leave"),
        ('---\ntitle: "Leave: how"\n---\nText.', "Leave: how"),
        ("+++\ntitle = 'Leave'\n+++\nText.", "Leave"),
        ("Intro.\n\n# Annual [leave](x.md) for `all`\n\nText.", "Annual leave for all"),
        ("Leave\n=====\n\nText.", "Leave"),
        ("Text without a heading.", "annual leave"),
    ],
)
def test_the_title_is_that_of_front_matter_first_heading_or_file_name(text: str, title: str) -> None:
    document = load(text, "annual_leave.md")

    assert document.title == title
    assert "title" not in document.text
    assert "Text" in document.text


def test_a_page_of_front_matter_alone_is_found_by_its_title() -> None:
    assert load("---\ntitle: VPN\nredirect_to: https://x.test\n---\n", "vpn.md").text == "VPN"


def test_comments_are_dropped_except_in_code() -> None:
    document = load("Seen.<!-- unseen\nat all -->\n\n```html\n<!-- shown -->\n```", "a.md")

    assert document.text == "Seen.\n\n```html\n<!-- shown -->\n```"


def test_code_points_that_nobody_sees_are_stripped() -> None:
    hidden = "\u200b\u200d\u202e\u2066\ufeff\u00ad\ufe0f\U000e0041\U000e007f\x07\u2063"
    document = load(f"# Pass{hidden}word\r\nIs se{hidden}cret.\rYes.", "a.md")

    assert document.title == "Password"
    assert document.text == "# Password\nIs secret.\nYes."


def test_lone_surrogates_do_not_survive() -> None:
    data = b'{"a": "x"}'.replace(b"x", b"a\xed\xa0\x80b")

    load(data, "a.txt").text.encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_usual_encodings_are_read(encoding: str) -> None:
    data = "Grüße – für alle".encode(encoding)
    if encoding == "utf-16-le":
        data = b"\xff\xfe" + data

    assert load(data, "a.txt").text == "Grüße – für alle"


def test_a_declared_character_set_is_used() -> None:
    data = "Привет всем".encode("koi8-r")

    assert load(data, "page", "text/plain", "koi8-r").text == "Привет всем"
    assert "Привет" in load(b"<p>" + data, "page", "text/html", "koi8-r").text
    assert load("Grüße", "a.txt", "text/plain", "no-such-charset").text == "Grüße"


def test_the_hash_is_that_of_the_bytes() -> None:
    assert load("Text.", "a.md").content_hash == fingerprint(b"Text.") != fingerprint(b"Text!")


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html", "a.pdf", "a.docx", "a"])
def test_empty_files_and_binary_garbage_are_refused_with_a_reason(name: str) -> None:
    assert reason_for(b"", name) == "The file is empty."
    assert reason_for(b" \n\t ", name) == "The file is empty."
    garbage = bytes(range(256)) * 40
    if not name.endswith(".html"):
        assert reason_for(garbage, name).endswith(".")


# --- HTML -----------------------------------------------------------------------------------------

PAGE = """<!doctype html><html><head><title>Leave &amp; more</title><style>p{}</style></head><body>
<header><a href="/">Home</a></header><nav>Menu</nav><script>evil()</script>
<main><h1>Leave<a class="headerlink" href="#leave">¶</a></h1>
<p>Staff earn <strong>four</strong> hours;<br>see <a href="https://x.test/a b">the rules</a> and <a href="/b">more</a>.
<ul><li>one<ul><li>deep</li></ul></li><li>two</li></ul><ol><li>first</li></ol>
<table><caption>Hours</caption><thead><tr><th>Grade</th><th>Hours</th></tr></thead>
<tbody><tr><td>A|B</td><td>4</td></tr></tbody></table>
<pre><code class="language-python">def f():
    return 1</code></pre>
<h2>Deeper</h2><div><div>Nested <code>code</code> text</div></div><blockquote><p>Quoted</p></blockquote>
<p style="display: none">hidden</p><p hidden>hidden</p><span aria-hidden="true">hidden</span><!-- hidden -->
</main><footer>Imprint</footer></body></html>"""


def test_html_keeps_the_content_and_its_structure() -> None:
    document = load(PAGE, "page.html")

    assert document.title == "Leave & more"
    assert document.text == (
        "# Leave\n\n"
        "Staff earn **four** hours;\nsee [the rules](https://x.test/a%20b) and more.\n\n"
        "- one\n  - deep\n- two\n\n"
        "1. first\n\n"
        "Hours\n\n"
        "| Grade | Hours |\n| --- | --- |\n| A\\|B | 4 |\n\n"
        "```python\ndef f():\n    return 1\n```\n\n"
        "## Deeper\n\n"
        "Nested `code` text\n\n"
        "> Quoted"
    )


@pytest.mark.parametrize("unwanted", ["Menu", "Home", "evil", "Imprint", "hidden", "¶"])
def test_html_drops_what_is_not_content(unwanted: str) -> None:
    assert unwanted not in load(PAGE, "page.html").text


def test_html_without_main_or_title_is_read_too() -> None:
    document = load("<h1>Leave</h1>Text <b>here</b>", "page", "text/html")

    assert (document.title, document.text) == ("Leave", "# Leave\n\nText **here**")


def test_a_page_of_menus_only_says_so() -> None:
    assert "no text" in reason_for(b"<html><nav>Menu</nav><script>x()</script></html>", "a.html")


def test_html_nested_absurdly_deep_does_no_harm() -> None:
    document = load("<div>" * 3000 + "Bottom" + "</div>" * 3000, "a.html")

    assert "Bottom" in document.text
    assert "Bottom" in load("<b>" * 3000 + "Bottom", "a.html").text


# --- PDF ------------------------------------------------------------------------------------------


def test_pdf_pages_stand_under_their_numbers() -> None:
    document = load(make_pdf("First page\nwith two lines", "Second page", title="Rules"), "rules.pdf")

    assert document.title == "Rules"
    assert document.text == "## Page 1\n\nFirst page\nwith two lines\n\n## Page 2\n\nSecond page"


def test_a_pdf_without_a_title_is_called_by_its_file_name() -> None:
    assert load(make_pdf("Text"), "travel-rules.pdf").title == "travel rules"


def test_pdfs_that_cannot_be_read_say_why() -> None:
    whole = make_pdf("Text")
    assert "encrypted" in reason_for(make_pdf("Text", password="secret"), "a.pdf")
    assert "scanned" in reason_for(make_pdf(), "a.pdf")
    for broken in (whole[:100], b"%PDF-1.7 nonsense", b"not a pdf at all"):
        assert reason_for(broken, "a.pdf").startswith("The PDF")


# --- DOCX -----------------------------------------------------------------------------------------


def test_docx_keeps_headings_lists_and_tables_in_order() -> None:
    def fill(document: docx.document.Document) -> None:
        document.add_heading("Leave", 0)
        document.add_heading("Annual", 1)
        document.add_paragraph("Four hours.")
        document.add_paragraph("one", style="List Bullet")
        document.add_paragraph("deep", style="List Bullet 2")
        document.add_paragraph("first", style="List Number")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip(table._cells, ["Grade", "Hours", "A|B", "4"], strict=True):
            cell.text = text
        document.add_heading("Sick", 2)
        document.add_paragraph("Ill.")

    document = load(make_docx(fill), "leave.docx")

    assert document.title == "Leave"
    assert document.text == (
        "# Leave\n\n# Annual\n\nFour hours.\n\n- one\n  - deep\n1. first\n\n"
        "| Grade | Hours |\n| --- | --- |\n| A\\|B | 4 |\n\n## Sick\n\nIll."
    )


def test_docx_that_cannot_be_read_says_why() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("hello.txt", "no document")
    whole = make_docx(lambda document: document.add_paragraph("Text"))

    assert "DOCX" in reason_for(b"PK nonsense", "a.docx")
    assert "DOCX" in reason_for(archive.getvalue(), "a.docx")
    assert "DOCX" in reason_for(whole[:400], "a.docx")
    assert "no text" in reason_for(make_docx(lambda document: None), "a.docx")

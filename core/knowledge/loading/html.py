"""Reads HTML pages: the main content as Markdown, without menus, scripts and what is hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import CData, NavigableString, PageElement, PreformattedString, Tag

from core.knowledge.loading.exported import find_confluence_page, find_document_title, unwrap_link
from core.knowledge.loading.text import Extract, clean_text

# fmt: off
_DROPPED = [
    "script", "style", "noscript", "template", "nav", "aside", "form", "button", "select", "input", "textarea",
    "iframe", "object", "embed", "svg", "canvas", "audio", "video", "dialog", "menu", "head",
]
_BLOCKS = {
    "address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "li", "main",
    "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}
# fmt: on
_ROLES = {"navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu", "menubar"}
_INVISIBLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0*\.?[01]?(?:px|pt|em|rem|%)?\s*(?:[;!]|$)"
    r"|opacity\s*:\s*0*(?:\.0\d*)?\s*(?:[;!]|$)|(?<![\w-])color\s*:\s*(?:transparent|rgba\([^)]*,\s*0*(?:\.0+)?\s*\))"
    r"|(?:text-indent|left|top|right|margin-left)\s*:\s*-\d{3,}|clip\s*:\s*rect\(\s*0|clip-path\s*:\s*inset\(\s*(?:50|100)%"
)
_WHITE = r"(?:white|#fff(?:fff)?|rgba?\(\s*255\s*,\s*255\s*,\s*255[^)]*\))\s*(?:[;!]|$)"
_WHITE_TEXT = re.compile(rf"(?<![\w-])color\s*:\s*{_WHITE}")
_WHITE_GROUND = re.compile(rf"background(?:-color)?\s*:\s*{_WHITE}")
_GROUND = re.compile(r"background(?:-color|-image)?\s*:")
_PERMALINK = {"¶", "#", "§", "🔗", "\uf0c1"}
MAX_DEPTH = 100


def extract_html(data: bytes, charset: str | None) -> Extract:
    """The page's main content; its <title>, or its first heading."""
    soup = BeautifulSoup(data, "lxml", from_encoding=charset)
    title = (soup.title.get_text() if soup.title else None) or find_document_title(soup)
    author = _author(soup)
    page = find_confluence_page(soup)
    _drop_boilerplate(soup)
    if page is not None and not _is_too_deep(page.content):
        text = render_markdown(page.content)
        return Extract(
            f"{page.place}\n\n{text}" if page.place and text else text, page.title, author=page.author
        )
    root = soup.find("main") or soup.find(role="main") or _only_article(soup) or soup.body or soup
    assert isinstance(root, Tag)  # noqa: S101 - every alternative is one
    if _is_too_deep(root):
        return Extract(root.get_text("\n"), title, author=author)
    if title is None or not title.strip():
        heading = root.find(["h1", "h2"])
        title = heading.get_text() if heading else None
    empty_reason = "The page holds no text outside of its menus and scripts."
    return Extract(render_markdown(root), title, empty_reason, author)


def _author(soup: BeautifulSoup) -> str | None:
    named = soup.find("meta", attrs={"name": "author"})
    return str(named.get("content") or "") or None if isinstance(named, Tag) else None


def _is_too_deep(root: Tag) -> bool:
    """No page for people is nested like that, and walking it would exhaust the stack."""
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for tag in level for child in tag.children if isinstance(child, Tag)]
        if not level:
            return False
    return True


def _only_article(soup: BeautifulSoup) -> Tag | None:
    articles = soup.find_all("article", limit=2)
    return articles[0] if len(articles) == 1 and isinstance(articles[0], Tag) else None


def _drop_boilerplate(soup: BeautifulSoup) -> None:
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    for tag in soup.find_all(["header", "footer"]):
        # The header of an article holds its heading; that of the page holds the site's menu.
        if not tag.decomposed and not tag.find_parent(["article", "main", "section"]):
            tag.decompose()
    for tag in soup.find_all(_is_hidden):
        if not tag.decomposed:
            tag.decompose()


def _is_hidden(tag: Tag) -> bool:
    if tag.name in ("html", "body", "main"):
        return False
    role, style = tag.get("role"), tag.get("style")
    return (
        tag.has_attr("hidden")
        or tag.get("aria-hidden") == "true"
        or (isinstance(role, str) and role.lower() in _ROLES)
        or (isinstance(style, str) and _INVISIBLE.search(style.lower()) is not None)
        or (isinstance(style, str) and _is_white_on_white(tag, style.lower()))
    )


def _is_white_on_white(tag: Tag, style: str) -> bool:
    """White text, as far as the page itself says on what ground: a class may say otherwise, so that a class
    anywhere around it lets it pass."""
    if not _WHITE_TEXT.search(style):
        return False
    for around in (tag, *tag.parents):
        own = str(around.get("style") or "").lower()
        if around.has_attr("bgcolor") or _GROUND.search(own):
            return bool(_WHITE_GROUND.search(own))
        if around.has_attr("class") and around.name not in ("html", "body"):
            return False
    return True


def render_markdown(root: Tag) -> str:
    """The blocks below the tag, one blank line between them."""
    blocks = [block for block in _blocks(root) if block.strip()]
    return clean_text("\n\n".join(blocks)).strip("\n")


def _blocks(tag: Tag) -> Iterator[str]:
    inline: list[str] = []
    for child in tag.children:
        if isinstance(child, Tag) and (child.name in _BLOCKS or _holds_blocks(child)):
            yield _squeeze("".join(inline))
            inline = []
            yield from _block(child)
        else:
            inline.append(_inline(child))
    yield _squeeze("".join(inline))


def _holds_blocks(tag: Tag) -> bool:
    return tag.find(list(_BLOCKS)) is not None


def _block(tag: Tag) -> Iterator[str]:
    if re.fullmatch("h[1-6]", tag.name):
        heading = " ".join(_squeeze(_inline_of(tag)).split())
        yield f"{'#' * int(tag.name[1])} {heading}" if heading else ""
    elif tag.name == "pre":
        yield _fence(tag)
    elif tag.name in ("ul", "ol"):
        yield "\n".join(_items(tag))
    elif tag.name == "table":
        yield from _table(tag)
    elif tag.name == "blockquote":
        yield "\n".join(f"> {line}" for block in _blocks(tag) if block for line in block.split("\n"))
    elif tag.name == "dt":
        yield f"**{_squeeze(_inline_of(tag))}**"
    elif tag.name != "hr":
        yield from _blocks(tag)


def _fence(tag: Tag) -> str:
    code = tag.get_text().strip("\n")
    language = ""
    for name in (tag, tag.find("code")):
        classes = name.get("class") if isinstance(name, Tag) else None
        found = re.search(r"(?:language|lang|highlight-source)-(\w+)", " ".join(classes or ()))
        language = language or (found[1] if found else "")
    marks = max((len(run) for run in re.findall("`{3,}", code)), default=2) + 1
    return f"{'`' * marks}{language}\n{code}\n{'`' * marks}" if code.strip() else ""


def _items(tag: Tag) -> Iterator[str]:
    for n, item in enumerate(tag.find_all("li", recursive=False), start=1):
        blocks = [block for block in _blocks(item) if block.strip()]
        if blocks:
            mark = f"{n}. " if tag.name == "ol" else "- "
            yield mark + "\n".join(blocks).replace("\n", "\n" + " " * len(mark))


def _table(tag: Tag) -> Iterator[str]:
    if caption := tag.find("caption"):
        yield _squeeze(_inline_of(caption))
        caption.decompose()
    rows = [row for row in tag.find_all("tr") if row.find_parent("table") is tag]
    cells = [row.find_all(["td", "th"], recursive=False) for row in rows]
    width = max((len(row) for row in cells), default=0)
    if width < 2 or tag.find("table"):
        # A table of one column, or of tables, is layout.
        for row in cells:
            for cell in row:
                yield from _blocks(cell)
        return
    lines = [[_cell(cell) for cell in row] for row in cells]
    yield render_table([line for line in lines if any(line)])


def render_table(rows: list[list[str]]) -> str:
    """Rows of cells as a Markdown table whose first row is the head; cells hold no line breaks."""
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])


def _cell(cell: Tag) -> str:
    return " ".join(cell.get_text(" ").split()).replace("|", "\\|")


def _inline_of(tag: Tag) -> str:
    return "".join(_inline(child) for child in tag.children)


def _inline(node: PageElement) -> str:
    if isinstance(node, Tag):
        return _inline_tag(node)
    if isinstance(node, PreformattedString) and not isinstance(node, CData):
        return ""  # comments, declarations
    return re.sub(r"\s+", " ", str(node)) if isinstance(node, NavigableString) else ""


def _inline_tag(tag: Tag) -> str:
    if tag.name == "br":
        return "\n"
    if tag.name == "img":
        return str(tag.get("alt") or "")
    if tag.name in ("code", "kbd", "samp", "tt"):
        code = " ".join(tag.get_text().split())
        return f"`{code}`" if code and "`" not in code else code
    text = _inline_of(tag)
    if tag.name == "a":
        return _link(tag, text)
    mark = {"strong": "**", "b": "**", "em": "*", "i": "*"}.get(tag.name, "")
    inner = text.strip()
    return text.replace(inner, f"{mark}{inner}{mark}", 1) if mark and inner else text


def _link(tag: Tag, text: str) -> str:
    href = unwrap_link(str(tag.get("href") or ""))
    if text.strip() in _PERMALINK and "#" in href:
        return ""
    if text.strip() and href.startswith(("http://", "https://", "mailto:")) and "\n" not in text:
        return f"[{text.strip()}]({href.replace(' ', '%20').replace(')', '%29')})"
    return text


def _squeeze(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().split("\n"))

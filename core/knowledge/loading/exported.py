"""What is particular about HTML that Confluence and Google Docs export."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from bs4 import BeautifulSoup
from bs4.element import Tag

_REDIRECT = "https://www.google.com/url?"


@dataclass(frozen=True, slots=True)
class ConfluencePage:
    """`content` without the frame that Confluence puts round it; `place` names the pages above it."""

    content: Tag
    title: str | None
    author: str | None
    place: str


def find_confluence_page(soup: BeautifulSoup) -> ConfluencePage | None:
    """None if the page is not of a Confluence export."""
    content, heading = soup.find(id="main-content"), soup.find(id="title-text")
    if not isinstance(content, Tag) or not isinstance(heading, Tag):
        return None
    if "wiki-content" not in (content.get("class") or ()):
        return None
    above = [_words(item) for item in soup.select("#breadcrumbs li")]
    title, space = _words(heading), above[0] if above else ""
    if space and title.startswith(f"{space} : "):
        title = title.removeprefix(f"{space} : ")
    author = soup.select_one(".page-metadata .author")
    return ConfluencePage(content, title or None, _words(author) if author else None, " › ".join(above))


def find_document_title(soup: BeautifulSoup) -> str | None:
    """The title paragraph of a document of Google Docs, which writes no <title>."""
    found = soup.find("p", class_="title")
    return _words(found) or None if isinstance(found, Tag) else None


def unwrap_link(href: str) -> str:
    """Where a link leads that goes through Google's redirect, as all links of Google Docs do."""
    if not href.startswith(_REDIRECT):
        return href
    target = parse_qs(urlsplit(href).query).get("q", [""])[0]
    return target if target.startswith(("http://", "https://")) else href


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())

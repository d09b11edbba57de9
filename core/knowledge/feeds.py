"""An RSS or Atom feed as a source: each of its items is a document. A feed shows only its newest items, so what has
left it stays."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from lxml import etree

from core.errors import SourceError
from core.knowledge.fetching import TIMEOUT_SECONDS, Fetcher, parse_url
from core.knowledge.sources import Content, Entry
from core.knowledge.web import read_fetched

MAX_ITEMS = 1_000
SHORTEST_TEXT = 400
"""An item with less than that only announces its page, which is then read instead."""


@dataclass(frozen=True, slots=True)
class FeedItem:
    """`address` is the item's page, "" if it names none; `body` is HTML."""

    address: str
    key: str
    title: str
    author: str
    body: str


class FeedSource:
    """`location` is rss+http(s)://… or the address of a feed."""

    kind = "feed"
    lists_everything = False

    def __init__(self, location: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = parse_url(location.removeprefix("rss+"), location).copy_with(fragment=None)
        self.uri = f"rss+{self._url}"
        self._fetcher = Fetcher(self._url, timeout_seconds=timeout_seconds)
        self._items: dict[str, FeedItem] = {}

    async def entries(self) -> Sequence[Entry]:
        fetched = await self._fetcher.fetch(self._url)
        if fetched is None:
            raise SourceError(self.uri, "The server sent nothing.")
        items = parse_feed(fetched.data, self.uri)[:MAX_ITEMS]
        self._items = {item.address or f"{self._url}#{item.key}": item for item in items}
        return [Entry(uri=uri, locator=uri) for uri in self._items]

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        item = self._items[entry.locator]
        if len(item.body) < SHORTEST_TEXT and self._is_ours(item.address):
            fetched = await self._fetcher.fetch(httpx.URL(item.address), validator=validator)
            return None if fetched is None else read_fetched(fetched, entry.uri)
        head = f"<title>{html.escape(item.title)}</title>"
        if item.author:
            head += f'<meta name="author" content="{html.escape(item.author)}">'
        page = f"<html><head><meta charset='utf-8'>{head}</head><body><main>{item.body}</main></body></html>"
        return Content(
            data=page.encode(errors="replace"), name="item.html", media_type="text/html", charset="utf-8"
        )

    def _is_ours(self, address: str) -> bool:
        try:
            return httpx.URL(address).host == self._url.host
        except httpx.InvalidURL:
            return False


def parse_feed(data: bytes, uri: str) -> list[FeedItem]:
    """The items of RSS 0.9x, 1.0, 2.0 and Atom. Raises SourceError for anything else."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SourceError(uri, "This is no RSS or Atom feed.") from error
    if etree.QName(root).localname not in ("rss", "RDF", "feed"):
        raise SourceError(uri, "This is no RSS or Atom feed.")
    items = [node for name in ("item", "entry") for node in root.iter(f"{{*}}{name}")]
    return [item for node in items if (item := _parse_item(node)) is not None]


def _parse_item(node: Any) -> FeedItem | None:
    texts: dict[str, str] = {}
    address = ""
    for child in node:
        if not isinstance(child.tag, str):
            continue  # a comment
        name = etree.QName(child).localname
        if name == "link" and (child.get("href") or child.text):
            if child.get("rel", "alternate") == "alternate":
                address = address or (child.get("href") or child.text or "").strip()
        elif name == "author" and len(child):
            texts["author"] = "".join(child.itertext("{*}name")).strip()
        else:
            texts.setdefault(name, _markup_of(child))
    body = (
        texts.get("encoded") or texts.get("content") or texts.get("description") or texts.get("summary") or ""
    )
    key = texts.get("guid") or texts.get("id") or address or texts.get("title", "")
    if not key:
        return None
    if not address.startswith(("http://", "https://")):
        address = key if key.startswith(("http://", "https://")) else ""
    title = " ".join(texts.get("title", "").split())
    return FeedItem(address, key, title, texts.get("creator") or texts.get("author", ""), body)


def _markup_of(node: Any) -> str:
    """The text of an element; XHTML content as the markup that it is."""
    if len(node):
        return "".join(etree.tostring(child, encoding="unicode") for child in node)
    text = (node.text or "").strip()
    return html.escape(text) if node.get("type") == "text" else text

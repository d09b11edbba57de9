"""A website as a source: what its sitemap lists, or what its pages link to, below one address of one host. The
rules of robots.txt hold, pages are asked for one after the other, and how many they may be is limited."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Sequence
from html.parser import HTMLParser
from urllib.robotparser import RobotFileParser

import httpx
from lxml import etree

from core.errors import SourceError
from core.knowledge.fetching import TIMEOUT_SECONDS, Fetched, Fetcher, UnexpectedStatusError, parse_url
from core.knowledge.sources import Content, Entry
from core.knowledge.web import read_fetched

MAX_PAGES = 1_000
MAX_SITEMAPS = 50
MAX_SITEMAP_BYTES = 50 * 2**20
MAX_KEPT_BYTES = 64 * 2**20
LONGEST_PAUSE_SECONDS = 10.0
AGENT = "Threadlore"


class WebsiteSource:
    """The pages below an address. `location` is site+http(s)://…; with the address of a sitemap.xml, exactly
    what that one lists on the same host."""

    kind = "website"
    lists_everything = True

    def __init__(
        self, location: str, *, timeout_seconds: float = TIMEOUT_SECONDS, max_pages: int = MAX_PAGES
    ) -> None:
        self._start = parse_url(location.removeprefix("site+"), location).copy_with(fragment=None)
        self.uri = f"site+{self._start}"
        self._fetcher = Fetcher(self._start, timeout_seconds=timeout_seconds)
        self._max_pages = max_pages
        self._rules = RobotFileParser()
        self._kept: dict[str, Content] = {}
        self._kept_bytes = 0
        self._pause_seconds = 0.0

    # --- what there is ----------------------------------------------------------------------------

    async def entries(self) -> Sequence[Entry]:
        """Raises SourceError when robots.txt or a sitemap that is named cannot be had right now: what is
        stored then stays."""
        self._kept, self._kept_bytes = {}, 0
        await self._read_rules()
        if self._start.path.endswith((".xml", ".xml.gz")):
            found = await self._listed_by([str(self._start)], required=True)
        else:
            named = self._rules.site_maps() or [str(self._start.join("/sitemap.xml"))]
            found = await self._listed_by(named, required=False) or await self._crawl()
        return [Entry(uri=url, locator=url) for url in found]

    async def _read_rules(self) -> None:
        """No robots.txt means that everything may be read; a server in trouble is left alone."""
        try:
            fetched = await self._fetcher.fetch(self._start.join("/robots.txt"))
        except UnexpectedStatusError as error:
            if error.status >= 500 or error.status == 429:
                raise SourceError(self.uri, error.reason) from error
            fetched = None
        text = fetched.data.decode(errors="replace") if fetched else ""
        self._rules = RobotFileParser()
        self._rules.parse(text.splitlines())
        delay = self._rules.crawl_delay(AGENT)
        self._pause_seconds = min(float(delay or 0), LONGEST_PAUSE_SECONDS)

    async def _listed_by(self, sitemaps: Sequence[str], *, required: bool) -> list[str]:
        """The pages of sitemaps and of the sitemaps that they name; [] if there is none."""
        waiting, seen, pages = deque(sitemaps), set(sitemaps), dict[str, None]()
        while waiting and len(seen) <= MAX_SITEMAPS and len(pages) < self._max_pages:
            address = waiting.popleft()
            try:
                fetched = await self._fetcher.fetch(parse_url(address, self.uri))
            except UnexpectedStatusError:
                if required:
                    raise
                continue
            locations, more = parse_sitemap(fetched.data if fetched else b"", self.uri)
            pages.update(dict.fromkeys(u for url in locations if (u := self._allowed(url)) is not None))
            fresh = [url for url in more if url not in seen and self._is_ours(url)]
            waiting.extend(fresh)
            seen.update(fresh)
        return list(pages)[: self._max_pages]

    async def _crawl(self) -> list[str]:
        """Breadth first from the address given. Pages that are read on the way are kept for `read`, as far as
        memory allows."""
        first = str(self._start)
        waiting, seen, pages = deque([first]), {first}, list[str]()
        while waiting and len(pages) < self._max_pages:
            url = waiting.popleft()
            pages.append(url)
            try:
                fetched = await self._fetch(url)
            except SourceError:
                if url == first:
                    raise
                continue  # `read` tries again, and says why it cannot
            if fetched is None or fetched.media_type not in ("text/html", "application/xhtml+xml"):
                continue
            links = await asyncio.to_thread(parse_links, fetched)
            fresh = [u for link in links if (u := self._allowed(link)) is not None and u not in seen]
            fresh = list(dict.fromkeys(fresh))[: self._max_pages]
            waiting.extend(fresh)
            seen.update(fresh)
        return pages

    def _allowed(self, address: str) -> str | None:
        """The address in its one form, if it is below ours and robots.txt does not forbid it."""
        try:
            url = self._start.join(address).copy_with(fragment=None)
        except (httpx.InvalidURL, ValueError):
            return None
        shown = str(url)
        below = self._start.path if not self._start.path.endswith((".xml", ".xml.gz")) else "/"
        folder = below[: below.rindex("/") + 1]
        if not self._is_ours(shown) or url.userinfo or not url.path.startswith(folder):
            return None
        return shown if self._rules.can_fetch(AGENT, shown) else None

    def _is_ours(self, address: str) -> bool:
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            return False
        return (url.scheme, url.host, url.port) == (self._start.scheme, self._start.host, self._start.port)

    # --- reading ----------------------------------------------------------------------------------

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        if entry.locator in self._kept:
            return self._kept.pop(entry.locator)
        if self._pause_seconds:
            await asyncio.sleep(self._pause_seconds)
        fetched = await self._fetcher.fetch(httpx.URL(entry.locator), validator=validator)
        return None if fetched is None else read_fetched(fetched, entry.uri)

    async def _fetch(self, url: str) -> Fetched | None:
        if self._pause_seconds:
            await asyncio.sleep(self._pause_seconds)
        fetched = await self._fetcher.fetch(httpx.URL(url))
        if fetched is not None and self._kept_bytes + len(fetched.data) <= MAX_KEPT_BYTES:
            self._kept[url] = read_fetched(fetched, url)
            self._kept_bytes += len(fetched.data)
        return fetched


def parse_sitemap(data: bytes, uri: str) -> tuple[list[str], list[str]]:
    """The pages that a sitemap lists, and the sitemaps that an index lists. Raises SourceError."""
    if data[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, MAX_SITEMAP_BYTES)
        except zlib.error as error:
            raise SourceError(uri, "The sitemap is broken.") from error
        if unpacker.unconsumed_tail:
            raise SourceError(uri, f"The sitemap is larger than {MAX_SITEMAP_BYTES // 2**20} MB.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return [], []  # many servers answer with a page of their own where there is no sitemap
    found: dict[str, list[str]] = {"url": [], "sitemap": []}
    for node in root.iter("{*}loc"):
        parent = node.getparent()
        name = etree.QName(parent).localname if parent is not None else ""
        if name in found and node.text:
            found[name].append(node.text.strip())
    return found["url"], found["sitemap"]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href") and "nofollow" not in (given.get("rel") or ""):
            self.found.append(str(given["href"]).strip())


def parse_links(fetched: Fetched) -> list[str]:
    """Where a page leads, as whole addresses."""
    links = _Links()
    links.feed(fetched.data.decode(fetched.charset or "utf-8", errors="replace"))
    whole = []
    for link in links.found:
        try:
            whole.append(str(fetched.url.join(link)))
        except (httpx.InvalidURL, ValueError):
            continue  # what is no address leads nowhere
    return whole

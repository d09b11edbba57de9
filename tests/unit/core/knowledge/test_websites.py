"""Websites, feeds and pages: what is read of them, what is left alone, and what a second look costs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.errors import SourceError
from core.knowledge.documents import SyncReport
from core.knowledge.feeds import parse_feed
from core.knowledge.ingest import Ingestor
from core.knowledge.locations import build_source, name_location
from core.knowledge.websites import WebsiteSource
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore
from tests.unit.core.knowledge.site import LoopbackSite, open_site


@pytest.fixture
async def site() -> AsyncIterator[LoopbackSite]:
    async with open_site() as site:
        yield site


class Ground:
    def __init__(self) -> None:
        self.store = InMemoryKnowledgeStore()
        self.ingestor = Ingestor(self.store, FakeEmbedder())

    async def sync(self, location: str) -> SyncReport:
        return await self.ingestor.sync([location])

    async def uris(self) -> set[str]:
        (source,) = await self.store.sources()
        return set(await self.store.documents(source.id))


def page(text: str, *links: str) -> str:
    anchors = "".join(f"<a href='{link}'>more</a>" for link in links)
    return f"<html><head><title>{text}</title></head><body><p>All about {text}.</p>{anchors}</body></html>"


def sitemap(*addresses: str, index: bool = False) -> str:
    outer, inner = ("sitemapindex", "sitemap") if index else ("urlset", "url")
    rows = "".join(f"<{inner}><loc>{address}</loc></{inner}>" for address in addresses)
    return f'<{outer} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</{outer}>'


async def test_a_page_that_has_not_changed_is_not_sent_again(site: LoopbackSite) -> None:
    ground = Ground()
    site.page("/faq", page("parking"))
    first = await ground.sync(f"{site.base}/faq")
    second = await ground.sync(f"{site.base}/faq")
    site.page("/faq", page("bicycles"))
    third = await ground.sync(f"{site.base}/faq")

    assert [(r.added, r.unchanged, r.updated) for r in (first, second, third)] == [
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
    ]
    assert site.asked == [("/faq", 200), ("/faq", 304), ("/faq", 200)]


async def test_what_the_sitemap_lists_is_read_and_nothing_of_other_hosts(site: LoopbackSite) -> None:
    ground = Ground()
    site.page("/robots.txt", f"User-agent: *\nDisallow: /docs/secret\nSitemap: {site.base}/maps.xml")
    site.page("/maps.xml", sitemap(f"{site.base}/one.xml", "http://127.0.0.2:1/two.xml", index=True))
    listed = ["/docs/a", "/docs/b#part", "/docs/secret/c", "/blog/d"]
    site.page("/one.xml", sitemap(*(site.base + path for path in listed), "http://127.0.0.2:1/docs/e"))
    for path in ("/docs/a", "/docs/b", "/docs/secret/c", "/blog/d"):
        site.page(path, page(path))

    report = await ground.sync(f"site+{site.base}/docs/")
    assert (report.added, report.failed) == (2, ())
    assert await ground.uris() == {f"{site.base}/docs/a", f"{site.base}/docs/b"}

    site.asked.clear()
    site.page("/one.xml", sitemap(f"{site.base}/docs/a"))
    again = await ground.sync(f"site+{site.base}/docs/")
    assert (again.unchanged, again.deleted) == (1, 1)
    assert ("/docs/a", 304) in site.asked


async def test_without_a_sitemap_links_are_followed_below_the_address_and_within_the_limit(
    site: LoopbackSite,
) -> None:
    site.page(
        "/docs/",
        page("start", "a", "/docs/b?x=1#y", "/private", "mailto:a@b.c", "http://[", "//127.0.0.2:1/docs/z"),
    )
    site.page("/docs/a", page("a", "./", "../docs/c"))
    site.page("/docs/b?x=1", page("b"))
    site.page("/docs/c", page("c", "gone"))
    ground = Ground()

    report = await ground.sync(f"site+{site.base}/docs/")

    assert {uri.removeprefix(site.base) for uri in await ground.uris()} == {
        "/docs/",
        "/docs/a",
        "/docs/b?x=1",
        "/docs/c",
    }
    assert [failed.uri.removeprefix(site.base) for failed in report.failed] == ["/docs/gone"]
    assert "/private" not in {path for path, _ in site.asked}
    assert [path for path, _ in site.asked].count("/docs/a") == 1
    limited = await WebsiteSource(f"site+{site.base}/docs/", max_pages=2).entries()
    assert len(limited) == 2


async def test_a_site_in_trouble_keeps_what_was_read_of_it(site: LoopbackSite) -> None:
    ground = Ground()
    site.page("/", page("start"))
    await ground.sync(f"site+{site.base}/")
    for path, status in (("/robots.txt", 503), ("/", 500)):
        site.statuses = {path: status}
        report = await ground.sync(f"site+{site.base}/")
        assert (len(report.failed), report.deleted, report.documents) == (1, 0, 1)


RSS = """<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title>
<item><title>Canteen &amp; more</title><link>{base}/canteen</link><dc:creator>Ada</dc:creator>
<description>&lt;p&gt;{long}&lt;/p&gt;</description></item>
<item><title>Parking</title><link>{base}/parking</link><description>Short.</description></item>
</channel></rss>"""


async def test_the_items_of_a_feed_are_documents_and_stay_when_they_leave_it(site: LoopbackSite) -> None:
    ground = Ground()
    site.page(
        "/feed.xml",
        RSS.format(base=site.base, long="The canteen opens at noon. " * 30),
        "application/rss+xml",
    )
    site.page("/parking", page("parking"))

    report = await ground.sync(f"{site.base}/feed.xml")

    assert (report.added, report.failed) == (2, ())
    assert await ground.uris() == {f"{site.base}/canteen", f"{site.base}/parking"}
    assert "/canteen" not in {path for path, _ in site.asked}

    site.page("/feed.xml", "<feed xmlns='http://www.w3.org/2005/Atom'></feed>")
    assert (await ground.sync(f"{site.base}/feed.xml")).documents == 2
    site.page("/feed.xml", "<html>Not found</html>")
    assert "no RSS or Atom" in (await ground.sync(f"{site.base}/feed.xml")).failed[0].reason


def test_atom_and_rss_items_say_who_wrote_what_and_where() -> None:
    (item,) = parse_feed(
        b"<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>urn:1</id><title>T</title><author><name>Ada</name>"
        b"</author><link rel='edit' href='https://x.test/e'/><link href='https://x.test/1'/>"
        b"<content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>Body</div></content></entry></feed>",
        "feed",
    )
    assert (item.address, item.title, item.author) == ("https://x.test/1", "T", "Ada")
    assert "Body" in item.body
    with pytest.raises(SourceError):
        parse_feed(b"<!DOCTYPE x [<!ENTITY a 'b'>]><html>&a;</html>", "feed")


@pytest.mark.parametrize(
    ("location", "kind", "uri"),
    [
        ("https://x.test/a.html", "web", "https://x.test/a.html"),
        ("site+https://x.test/docs/", "website", "site+https://x.test/docs/"),
        ("https://x.test/sitemap.xml", "website", "site+https://x.test/sitemap.xml"),
        ("rss+https://x.test/news", "feed", "rss+https://x.test/news"),
        ("https://x.test/blog/feed/", "feed", "rss+https://x.test/blog/feed/"),
        ("https://x.test/org/repo.git", "git", "git+https://x.test/org/repo.git"),
        ("git@x.test:org/repo.git", "git", "git+git@x.test:org/repo.git"),
        ("git+ssh://git@x.test/org/repo", "git", "git+ssh://git@x.test/org/repo"),
    ],
)
def test_a_location_is_told_by_how_it_is_written_and_its_uri_leads_to_the_same_source(
    location: str, kind: str, uri: str
) -> None:
    assert name_location(location) == (uri, kind)
    assert (build_source(uri).uri, build_source(uri).kind) == (uri, kind)


@pytest.mark.parametrize(
    "location",
    [
        "git+https://u:canary@x.test/r.git",
        "git+ext::sh -c true",
        "site+ftp://x.test/",
        "rss+https://u:canary@x.test/",
    ],
)
def test_passwords_and_other_protocols_are_refused_and_not_repeated(location: str) -> None:
    with pytest.raises(SourceError) as caught:
        name_location(location)
    assert "canary" not in str(caught.value)

"""Folders, files and pages: what they list, what they refuse, and where they never go."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.errors import SourceError
from core.knowledge.fetching import MAX_BYTES, is_public
from core.knowledge.locations import build_source
from core.knowledge.sources import Content
from core.knowledge.web import WebPageSource


async def uris_of(location: Path) -> list[str]:
    return [entry.uri for entry in await build_source(str(location)).entries()]


def write(path: Path, text: str = "Text.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- folders and files ----------------------------------------------------------------------------


async def test_a_folder_lists_what_can_be_read_in_a_fixed_order(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    for name in ("b.md", "a/z.HTML", "a/y.txt", "c.pdf", "d.docx", "e.csv", "f.TSV", "g.xlsx", "h.Pptx"):
        write(docs / name)
    for name in (".hidden.md", ".git/x.md", "a/.cache/y.md", "image.png", "program", "old.xls"):
        write(docs / name)
    write(docs / "empty.md", "")

    read = ("b.md", "c.pdf", "d.docx", "e.csv", "f.TSV", "g.xlsx", "h.Pptx", "a/y.txt", "a/z.HTML")
    assert await uris_of(docs) == [f"docs/{name}" for name in read]


async def test_an_empty_pdf_is_listed_because_something_went_wrong_with_it(tmp_path: Path) -> None:
    write(tmp_path / "scan.pdf", "")

    assert await uris_of(tmp_path) == [f"{tmp_path.name}/scan.pdf"]


async def test_links_do_not_lead_out_of_the_folder_or_in_circles(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    write(docs / "page.md")
    write(tmp_path / "secret.md")
    (docs / "file.md").symlink_to(tmp_path / "secret.md")
    (docs / "folder").symlink_to(tmp_path)
    (docs / "circle").symlink_to(docs)
    (docs / "same.md").symlink_to(docs / "page.md")
    (docs / "dangling.md").symlink_to(docs / "nowhere.md")

    uris = await uris_of(docs)

    assert "docs/page.md" in uris
    assert not {"docs/file.md", "docs/same.md"} & set(uris)
    assert not any("folder" in uri or "circle" in uri for uri in uris)


async def test_a_link_to_itself_fails_alone_when_it_is_read(tmp_path: Path) -> None:
    write(tmp_path / "page.md")
    (tmp_path / "round.md").symlink_to(tmp_path / "round.md")
    source = build_source(str(tmp_path))

    page, circle = await source.entries()

    assert await source.read(page) == Content(data=b"Text.", name="page.md")
    with pytest.raises(SourceError) as caught:
        await source.read(circle)
    assert caught.value.uri == f"{tmp_path.name}/round.md"


async def test_a_file_is_listed_once_under_the_name_that_comes_first(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    for name in ("m.md", "sub/m.md", "sub/deep/m.md", ".hidden.md"):
        write(docs / name)
    links = {
        "a.md": "m.md",  # comes before what it leads to
        "z.md": "m.md",
        "sub/a.md": "deep/m.md",  # a folder's files come before its folders
        "sub/z.md": "m.md",
        "sub/deep/back.md": "../../m.md",
        "h1.md": ".hidden.md",  # not listed under its own name
        "h2.md": ".hidden.md",
        "y.md": "b.md",  # leads nowhere, which reading it will say
    }
    for name, target in links.items():
        (docs / name).symlink_to(target)

    listed = [uri.removeprefix("docs/") for uri in await uris_of(docs)]

    assert listed == ["a.md", "h1.md", "y.md", "sub/a.md", "sub/m.md"]


async def test_the_same_folder_has_the_same_uri_however_it_is_named(
    tmp_path: Path,
) -> None:
    docs = tmp_path / "docs"
    write(docs / "page.md")

    assert {build_source(f"{docs}{end}").uri for end in ("", "/", "/.", "/../docs")} == {str(docs)}


async def test_a_file_is_called_by_its_name_and_read_whole(tmp_path: Path) -> None:
    source = build_source(str(write(tmp_path / "LICENSE", "Free.")))

    (entry,) = await source.entries()

    assert (entry.uri, source.kind) == ("LICENSE", "file")
    assert await source.read(entry) == Content(data=b"Free.", name="LICENSE")


async def test_a_file_that_vanishes_between_listing_and_reading_is_an_error_of_its_own(
    tmp_path: Path,
) -> None:
    page = write(tmp_path / "page.md")
    source = build_source(str(tmp_path))
    (entry,) = await source.entries()
    page.unlink()

    with pytest.raises(SourceError) as caught:
        await source.read(entry)
    assert caught.value.uri == entry.uri


@pytest.mark.parametrize("location", ["/no/such/place", "nowhere.md", "ftp://x.test/a", "file:///etc/passwd"])
def test_a_location_that_does_not_exist_is_named(location: str) -> None:
    with pytest.raises(SourceError) as caught:
        build_source(location)
    assert caught.value.uri == location


async def test_a_folder_that_is_gone_cannot_be_listed(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    source = build_source(str(docs))
    docs.rmdir()

    with pytest.raises(SourceError):
        list(await source.entries())


# --- pages ----------------------------------------------------------------------------------------


@dataclass
class Site:
    """A web server on loopback: answers by path, and remembers what was asked."""

    port: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    never_answers: set[str] = field(default_factory=set)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def page(self, path: str, body: bytes, content_type: str = "text/html; charset=utf-8") -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        self.answers[path] = f"{head}connection: close\r\n\r\n".encode() + body

    def redirect(self, path: str, to: str) -> None:
        self.answers[path] = (
            f"HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = request.split(" ")[1]
        self.asked.append(path)
        if path in self.never_answers:
            await reader.read()
        writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))
        writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    yield site
    server.close()


async def read_page(url: str, timeout_seconds: float = 10.0) -> Content:
    source = WebPageSource(url, timeout_seconds=timeout_seconds)
    (entry,) = await source.entries()
    content = await source.read(entry)
    assert content is not None
    return content


async def reason_of(url: str, timeout_seconds: float = 10.0) -> str:
    with pytest.raises(SourceError) as caught:
        await read_page(url, timeout_seconds)
    return caught.value.reason


async def test_a_page_is_read_with_its_type_and_nothing_else_is_fetched(site: Site) -> None:
    site.page("/guide", b"<a href='/other'>other</a>")

    content = await read_page(site.url("/guide#part"))

    assert (content.data, content.media_type, content.charset, content.name) == (
        b"<a href='/other'>other</a>",
        "text/html",
        "utf-8",
        "guide",
    )
    assert site.asked == ["/guide"]
    assert build_source(site.url("/guide#part")).uri == site.url("/guide")


async def test_three_redirects_are_followed_and_no_fourth(site: Site) -> None:
    for n in range(4):
        site.redirect(f"/{n}", f"/{n + 1}")
    site.page("/4", b"There.", "text/plain")

    assert (await read_page(site.url("/1"))).data == b"There."
    assert "redirects" in await reason_of(site.url("/0"))


@pytest.mark.parametrize(
    ("content_type", "path", "readable"),
    [
        ("text/markdown", "/a", True),
        ("application/pdf", "/a", True),
        ("application/octet-stream", "/a.docx", True),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "/a", True),
        ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "/a", True),
        ("text/csv", "/a", True),
        ("text/tab-separated-values", "/a", True),
        ("application/vnd.ms-excel", "/a.csv", True),
        ("application/vnd.ms-excel", "/a.xls", False),
        ("application/octet-stream", "/a", False),
        ("image/png", "/a.md", False),
        ("application/json", "/a", False),
    ],
)
async def test_only_types_that_can_be_read_are_fetched(
    site: Site, content_type: str, path: str, readable: bool
) -> None:
    site.page(path, b"Text.", content_type)

    if readable:
        assert (await read_page(site.url(path))).data == b"Text."
    else:
        assert "content type" in await reason_of(site.url(path))


async def test_what_is_too_large_too_slow_or_not_there_is_refused(site: Site) -> None:
    site.page("/large", b"x" * (MAX_BYTES + 1))
    site.never_answers.add("/slow")

    assert "larger than 10 MB" in await reason_of(site.url("/large"))
    assert "did not arrive" in await reason_of(site.url("/slow"), timeout_seconds=0.2)
    assert "404" in await reason_of(site.url("/nowhere"))
    assert "cannot be reached" in await reason_of("http://no-such-host.invalid/")


async def test_a_redirect_never_leads_to_another_private_address(site: Site) -> None:
    site.page("/secret", b"secret")
    targets: list[Callable[[], str]] = [
        lambda: site.url("/secret", host="127.0.0.2"),
        lambda: site.url("/secret", host="localhost"),
        lambda: site.url("/secret", host="2130706433"),
        lambda: site.url("/secret", host="[::ffff:127.0.0.1]"),
        lambda: "http://127.0.0.1:1/secret",
        lambda: "http://169.254.169.254/latest/meta-data/",
    ]
    for n, target in enumerate(targets):
        site.redirect(f"/{n}", target())
        assert "private network" in await reason_of(site.url(f"/{n}"))
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
        site.redirect("/scheme", url)
        assert "http://" in await reason_of(site.url("/scheme"))
    assert "/secret" not in site.asked


async def test_the_clouds_own_addresses_are_refused_even_when_named() -> None:
    assert "private network" in await reason_of("http://169.254.169.254/latest/meta-data/")


@pytest.mark.parametrize("url", ["http://user:secret@x.test/", "http:///path", "https://"])
def test_addresses_with_a_password_or_without_a_host_are_refused(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        build_source(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),  # noqa: S104
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_belong_to_the_open_internet(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public

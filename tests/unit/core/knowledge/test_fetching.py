"""Where a fetch never goes, however the way there is written."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core.errors import SourceError
from core.knowledge.fetching import Fetcher
from tests.unit.core.knowledge.site import LoopbackSite, open_site

LOOPBACKS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
    "127.000.000.001",
    "127.0.0.2",
    "127.255.255.254",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "0",
    "0.0.0.0",  # noqa: S104
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "user@127.0.0.1",
    "user:secret@127.0.0.1",
    "x.test@127.0.0.1",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "127.0.0.1%2f.x.test",
    "[::1%25lo]",
]
ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://100.100.100.200/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[ff02::1]/",
    "http://metadata.google.internal/",
    "http://postgres:5432/",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "ftp://127.0.0.1/",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:6379/info",
    "data:text/html,hello",
    "javascript:alert(1)",
    "unix:/var/run/docker.sock",
]


@pytest.fixture
async def sites() -> AsyncIterator[tuple[LoopbackSite, LoopbackSite]]:
    """The one that the operator has named, and one that nobody may reach."""
    async with open_site() as named, open_site() as canary:
        canary.page("/", "secret")
        yield named, canary


async def test_no_redirect_leads_to_a_private_address_in_any_of_its_forms(
    sites: tuple[LoopbackSite, LoopbackSite],
) -> None:
    named, canary = sites
    targets = [f"http://{host}:{canary.port}/" for host in LOOPBACKS] + ELSEWHERE
    assert len(targets) >= 60
    fetcher = Fetcher(httpx.URL(named.base), timeout_seconds=3.0)
    for n, target in enumerate(targets):
        named.redirects[f"/{n}"] = target
        with pytest.raises(SourceError) as caught:
            await fetcher.fetch(httpx.URL(f"{named.base}/{n}"))
        assert "secret" not in str(caught.value)
    assert canary.asked == []


@pytest.mark.parametrize("second", ["127.0.0.1", "::1", "169.254.169.254"])
async def test_a_name_that_changes_its_mind_is_asked_once_and_only_the_answer_that_was_checked_is_used(
    sites: tuple[LoopbackSite, LoopbackSite], monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    _, canary = sites
    answers: list[str] = []

    def resolve(host: str, port: int, *arguments: Any, **more: Any) -> list[Any]:
        """What a hostile name server says: first an address that leads nowhere in public, then one of ours."""
        address = host if host[:1].isdigit() or ":" in host else ("192.0.0.9" if not answers else second)
        answers.append(address)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = httpx.URL(f"http://rebound.test:{canary.port}/")
    with pytest.raises(SourceError):
        await Fetcher(httpx.URL("http://x.test/"), timeout_seconds=0.5).fetch(url)

    assert answers[0] == "192.0.0.9"
    assert second not in answers
    assert canary.asked == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    sites: tuple[LoopbackSite, LoopbackSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, canary = sites
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, canary.port)) for a in ("93.184.216.34", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: both)
    with pytest.raises(SourceError) as caught:
        await Fetcher(httpx.URL("http://x.test/")).fetch(httpx.URL(f"http://mixed.test:{canary.port}/"))
    assert "private network" in caught.value.reason
    assert canary.asked == []

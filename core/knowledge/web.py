"""A web page as a source: fetches exactly the page given, with limits on time, size, redirects and on the
addresses it connects to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

from core.errors import SourceError
from core.knowledge.loading import ENDINGS, MEDIA_TYPES
from core.knowledge.sources import Content, Entry

MAX_PAGE_BYTES = 10 * 2**20
MAX_REDIRECTS = 3
TIMEOUT_SECONDS = 15.0
_VAGUE_TYPES = {"", "application/octet-stream", "binary/octet-stream", "text/x-markdown", "text/x-rst"}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Origin = tuple[str, int | None]


class _RefusedAddressError(Exception):
    """The host resolves to an address that we do not connect to."""


class WebPageSource:
    """One page. An address in a private network is read only if the given URL itself names its host."""

    kind = "web"

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = _parse_url(url, url).copy_with(fragment=None)
        self.uri = str(self._url)
        self._timeout_seconds = timeout_seconds

    async def entries(self) -> Sequence[Entry]:
        return [Entry(uri=self.uri, locator=self.uri)]

    async def read(self, entry: Entry) -> Content:
        try:
            async with asyncio.timeout(self._timeout_seconds), self._client() as client:
                return await self._fetch(client)
        except TimeoutError as error:
            raise SourceError(
                self.uri, f"The page did not arrive within {self._timeout_seconds:g} seconds."
            ) from error
        except _RefusedAddressError as error:
            raise SourceError(
                self.uri, "The address leads into a private network that it does not name itself."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SourceError(self.uri, "The server cannot be reached, or broke off.") from error

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=_GuardedTransport(_origin(self._url)),
            trust_env=False,
            timeout=self._timeout_seconds,
            headers={"User-Agent": "Threadlore", "Accept-Encoding": "identity"},
        )

    async def _fetch(self, client: httpx.AsyncClient) -> Content:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            async with client.stream("GET", url) as response:
                if response.has_redirect_location:
                    url = _parse_url(str(url.join(response.headers["location"])), self.uri)
                    continue
                if response.status_code != 200:
                    raise SourceError(self.uri, f"The server answered with status {response.status_code}.")
                return await self._content(response, url)
        raise SourceError(self.uri, f"The page redirects more than {MAX_REDIRECTS} times.")

    async def _content(self, response: httpx.Response, url: httpx.URL) -> Content:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        name = PurePosixPath(unquote(url.path)).name or url.host
        readable_name = PurePosixPath(name).suffix.lower() in ENDINGS
        if media_type not in MEDIA_TYPES and not (media_type in _VAGUE_TYPES and readable_name):
            raise SourceError(self.uri, f"The content type {media_type or '(none)'} cannot be read.")
        data = bytearray()
        async for part in response.aiter_bytes(65_536):
            data += part
            if len(data) > MAX_PAGE_BYTES:
                raise SourceError(self.uri, f"The page is larger than {MAX_PAGE_BYTES // 2**20} MB.")
        return Content(
            data=bytes(data), name=name, media_type=media_type or None, charset=response.charset_encoding
        )


def _parse_url(text: str, uri: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise SourceError(uri, "This is not a valid address.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise SourceError(uri, "The address must begin with http:// or https:// and name a host.")
    if url.userinfo:
        raise SourceError(url.host, "The address must not hold a user name or a password.")
    return url


def _origin(url: httpx.URL) -> Origin:
    return url.host, url.port


class _GuardedTransport(httpx.AsyncBaseTransport):
    """Resolves the host itself, checks every address, and connects to the very address it checked."""

    def __init__(self, named: Origin) -> None:
        self._named = named
        self._transport = httpx.AsyncHTTPTransport(trust_env=False, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        address = await self._resolve(url)
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=str(address))
        try:
            return await self._transport.handle_async_request(request)
        finally:
            request.url = url

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _resolve(self, url: httpx.URL) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
        addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
        if not addresses or not all(self._may_connect(url, address) for address in addresses):
            raise _RefusedAddressError
        # A host that has both is reached by IPv4 wherever IPv6 is only half set up.
        return min(addresses, key=lambda address: address.version)

    def _may_connect(self, url: httpx.URL, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if is_public(address):
            return True
        if _origin(url) != self._named:
            return False
        # A name of the operator's own network is fine; link-local addresses serve a cloud's credentials
        # and are never what a name is meant to lead to.
        return not (address.is_link_local or address.is_multicast or address.is_unspecified)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is one of the open internet, seen through the ways to wrap IPv4 into IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo or (wrapped is not None and not is_public(wrapped)):
            return False
    return address.is_global and not address.is_multicast

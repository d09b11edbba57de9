"""Fetches over HTTP as a guest in networks that are not ours: limits on time, size and redirects, and only to
addresses that may be connected to, checked where the connection is made."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from dataclasses import dataclass

import httpx

from core.errors import SourceError

MAX_BYTES = 10 * 2**20
MAX_REDIRECTS = 3
TIMEOUT_SECONDS = 15.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Origin = tuple[str, int | None]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class _RefusedAddressError(Exception):
    """The host resolves to an address that we do not connect to."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response with status 200. `url` is where the redirects led. `validator` is what to show the server the
    next time, so that it need not send the same again."""

    url: httpx.URL
    data: bytes
    media_type: str
    charset: str | None
    validator: str | None


class Fetcher:
    """Fetches what `start`, an address that the operator has named, leads to. An address in a private network
    is connected to only if `start` itself names its host."""

    def __init__(
        self, start: httpx.URL, *, timeout_seconds: float = TIMEOUT_SECONDS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._named = _origin(start)
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    async def fetch(self, url: httpx.URL, *, validator: str | None = None) -> Fetched | None:
        """What is there now; None if it has not changed since `validator` was given. Raises SourceError."""
        uri = str(url)
        try:
            async with asyncio.timeout(self._timeout_seconds), self._client() as client:
                return await self._follow(client, url, validator)
        except TimeoutError as error:
            raise SourceError(
                uri, f"The page did not arrive within {self._timeout_seconds:g} seconds."
            ) from error
        except _RefusedAddressError as error:
            raise SourceError(
                uri, "The address leads into a private network that it does not name itself."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise SourceError(uri, "The server cannot be reached, or broke off.") from error

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=_GuardedTransport(self._named),
            trust_env=False,
            timeout=self._timeout_seconds,
            headers={"User-Agent": "Threadlore", "Accept-Encoding": "identity"},
        )

    async def _follow(
        self, client: httpx.AsyncClient, asked: httpx.URL, validator: str | None
    ) -> Fetched | None:
        url, uri = asked, str(asked)
        headers = json.loads(validator) if validator else {}
        for _ in range(MAX_REDIRECTS + 1):
            async with client.stream("GET", url, headers=headers) as response:
                if response.has_redirect_location:
                    url = parse_url(str(url.join(response.headers["location"])), uri)
                    continue
                if response.status_code == 304 and validator:
                    return None
                if response.status_code != 200:
                    raise UnexpectedStatusError(uri, response.status_code)
                return await self._read(response, url, uri)
        raise SourceError(uri, f"The page redirects more than {MAX_REDIRECTS} times.")

    async def _read(self, response: httpx.Response, url: httpx.URL, uri: str) -> Fetched:
        data = bytearray()
        async for part in response.aiter_bytes(65_536):
            data += part
            if len(data) > self._max_bytes:
                raise SourceError(uri, f"The page is larger than {self._max_bytes // 2**20} MB.")
        return Fetched(
            url=url,
            data=bytes(data),
            media_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
            charset=response.charset_encoding,
            validator=_validator_of(response.headers),
        )


class UnexpectedStatusError(SourceError):
    """The server answered, but not with what was asked for."""

    def __init__(self, uri: str, status: int) -> None:
        super().__init__(uri, f"The server answered with status {status}.")
        self.status = status


def _validator_of(headers: httpx.Headers) -> str | None:
    shown = {"If-None-Match": headers.get("etag"), "If-Modified-Since": headers.get("last-modified")}
    given = {name: value for name, value in shown.items() if value and len(value) <= 500}
    return json.dumps(given) if given else None


def parse_url(text: str, uri: str) -> httpx.URL:
    """An address that may be fetched. Raises SourceError, which names no password."""
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

    async def _resolve(self, url: httpx.URL) -> Address:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
        addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
        if not addresses or not all(self._may_connect(url, address) for address in addresses):
            raise _RefusedAddressError
        # A host that has both is reached by IPv4 wherever IPv6 is only half set up.
        return min(addresses, key=lambda address: address.version)

    def _may_connect(self, url: httpx.URL, address: Address) -> bool:
        if is_public(address):
            return True
        if _origin(url) != self._named:
            return False
        # A name of the operator's own network is fine; link-local addresses serve a cloud's credentials
        # and are never what a name is meant to lead to.
        return not (address.is_link_local or address.is_multicast or address.is_unspecified)


def is_public(address: Address) -> bool:
    """Whether the address is one of the open internet, seen through the ways to wrap IPv4 into IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo or (wrapped is not None and not is_public(wrapped)):
            return False
    return address.is_global and not address.is_multicast

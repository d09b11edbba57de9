"""What can be wrong with the HTTP settings: the port is taken by something else, the address is not ours."""

from __future__ import annotations

import socket

import httpx

from bot.doctor import Finding, bad, good
from bot.web.settings import HttpSettings


async def check_port(settings: HttpSettings) -> list[Finding]:
    """Whether `serve` could listen."""
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    place = f"{settings.http_host}:{settings.http_port}"
    try:
        socket.create_server((settings.http_host, settings.http_port), family=family).close()
    except OSError as error:
        if await _runs_already(settings):
            return [good("http", f"Threadlore is running at {place}")]
        return [
            bad(
                "http",
                f"{place} cannot be listened on ({error.strerror})",
                "Set HTTP_PORT to a free port, or HTTP_HOST to an address of this machine.",
            )
        ]
    guarded = "with a token" if settings.http_token else "for this machine only"
    return [good("http", f"{place} is free; the page and the interface are {guarded}")]


async def _runs_already(settings: HttpSettings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http_host, settings.http_host)  # noqa: S104
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            health = await client.get(f"{address}/healthz")
            document = await client.get(f"{address}/")
    except httpx.HTTPError:
        return False
    return health.status_code == 200 and "<title>Threadlore</title>" in document.text

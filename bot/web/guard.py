"""Who may use the HTTP interface: every request passes here before any route.

With HTTP_TOKEN set, data needs the token as a bearer. Without, the server listens on loopback only, and
what other people's pages and names can reach through a browser or a tunnel is refused. There are no
cookies, so no page can act in somebody's name.
"""

from __future__ import annotations

import hmac
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.settings import is_loopback

Access = Literal["public", "shell", "guarded"]
"""public: for everybody (probes; Slack signs its requests). shell: files without data, hidden only from
strangers on loopback. guarded: data."""

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/slack/events", "/slack/install", "/slack/oauth_redirect"})
SHELL_PATHS = frozenset({"/", "/sources", "/docs", "/openapi.json", "/favicon.ico"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
LARGEST_BODY_BYTES = 1_000_000
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host")


def access_of(path: str) -> Access:
    """What a path demands. Unknown paths are guarded."""
    if path in PUBLIC_PATHS:
        return "public"
    if path in SHELL_PATHS or path.startswith("/static/"):
        return "shell"
    return "guarded"


def build_failure(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The one shape of every error."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


class Guard:
    """ASGI middleware: refuses who may not, and adds the security headers to every response."""

    def __init__(self, app: ASGIApp, *, token: SecretStr | None, host: str) -> None:
        self._app = app
        self._token = token.get_secret_value().encode() if token else None
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Slack's own installation pages carry inline styles of the library.
                for name, value in SECURITY_HEADERS.items() if not path.startswith("/slack/") else ():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache" if access_of(path) == "shell" else "no-store")
            await send(message)

        refusal = self._refuse(access_of(path), Headers(scope=scope))
        await (refusal or self._app)(scope, _limit_size(receive), send_safely)

    def _refuse(self, access: Access, headers: Headers) -> JSONResponse | None:
        if access == "public":
            return None
        if self._token is not None:
            if access == "shell" or self._shows_token(headers):
                return None
            return build_failure(
                401,
                "unauthorized",
                "Send the token of this server: Authorization: Bearer <HTTP_TOKEN>.",
                {"WWW-Authenticate": "Bearer"},
            )
        if self._is_local(headers):
            return None
        return build_failure(
            403,
            "forbidden",
            "Without HTTP_TOKEN this server answers only programs and pages of its own machine.",
        )

    def _shows_token(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return (
            self._token is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(shown.strip().encode(), self._token)
        )

    def _is_local(self, headers: Headers) -> bool:
        """Asked by a name of this machine, by no other site's page, and not through a tunnel."""
        host = _name_of(f"//{headers.get('host', '')}")
        if not (is_loopback(host) or host == self._host.strip("[]").lower()):
            return False
        if any(name in headers for name in FORWARDING_HEADERS):
            return False
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc == headers.get("host")


def _limit_size(receive: Receive) -> Receive:
    """Reading more than the limit ends in 413, whatever the sender declared."""
    read = 0

    async def receive_limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > LARGEST_BODY_BYTES:
            raise HTTPException(413, f"A request may hold {LARGEST_BODY_BYTES:,} bytes.")
        return message

    return receive_limited


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""

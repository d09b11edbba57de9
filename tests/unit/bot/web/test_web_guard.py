"""Who may use which route, and what every response says to the browser."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from bot.web.app import SlackEndpoints
from bot.web.guard import access_of
from bot.web.settings import check_http_settings
from core.errors import SettingsError
from tests.unit.bot.web.web_ground import TOKEN, make_settings, open_ground

PUBLIC = {"/healthz", "/readyz", "/slack/events", "/slack/install", "/slack/oauth_redirect"}
SHELL = {"/", "/sources", "/docs", "/openapi.json", "/favicon.ico", "/static"}
GUARDED = {
    "/metrics",
    "/v1/about",
    "/v1/turns",
    "/v1/turns/{turn_id}/feedback",
    "/v1/sources",
    "/v1/embedding",
    "/v1/sources/{source_id}/sync",
}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - judged only; nothing listens there
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def answer_slack(request: Request) -> Response:
    return Response("seen by slack")


SLACK = SlackEndpoints(events=answer_slack, install=answer_slack, oauth_redirect=answer_slack)


async def test_every_route_is_listed_as_public_shell_or_guarded() -> None:
    async with open_ground(slack=SLACK) as ground:
        paths = {path_of(route) for route in flatten(ground.app.routes)}
        assert paths == PUBLIC | SHELL | GUARDED
        assert {path for path in paths if access_of(path) == "public"} == PUBLIC
        assert {
            path for path in paths if access_of(f"{path}/x" if path == "/static" else path) == "shell"
        } == SHELL
        assert {path for path in paths - {"/static"} if access_of(path) == "guarded"} == GUARDED


def flatten(routes: Sequence[object]) -> list[object]:
    """Included routers keep their routes to themselves."""
    found: list[object] = []
    for route in routes:
        inner = getattr(route, "original_router", None)
        found += flatten(list(inner.routes)) if inner is not None else [route]
    return found


def path_of(route: object) -> str:
    assert isinstance(route, APIRoute | Route | Mount), route
    return route.path


async def request_each(http: httpx.AsyncClient, paths: set[str]) -> dict[str, int]:
    found = {}
    for path in paths:
        place = path.replace("{turn_id}", "0b0e7a6e-0000-4000-8000-000000000000").replace("{source_id}", "7")
        posted = path in ("/v1/turns", "/slack/events") or path.endswith(("feedback", "/sync"))
        method = "POST" if posted else "GET"
        place = f"{place}/playground.css" if path == "/static" else place
        body = {"rating": 1} if path.endswith("feedback") else {"text": "Hello?"}
        response = await http.request(method, place, json=body if method == "POST" else None)
        found[path] = response.status_code
    return found


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
async def test_with_a_token_set_data_is_for_its_bearers_only(headers: dict[str, str]) -> None:
    async with open_ground(token=TOKEN, host=EVERYWHERE, slack=SLACK) as ground:
        ground.http.headers.update(headers)
        assert set((await request_each(ground.http, GUARDED)).values()) == {401}
        assert set((await request_each(ground.http, PUBLIC | SHELL)).values()) == {200}
        assert (await ground.http.get("/no/such/path")).status_code == 401
        assert ground.worker.events == []


async def test_the_bearer_of_the_token_may_do_everything_from_anywhere() -> None:
    async with open_ground(token=TOKEN, host=EVERYWHERE, base_url="https://ask.example.com") as ground:
        ground.http.headers.update(BEARER)
        found = await request_each(ground.http, GUARDED)
        assert found == {
            "/metrics": 200,
            "/v1/about": 200,
            "/v1/turns": 200,
            "/v1/turns/{turn_id}/feedback": 404,
            "/v1/sources": 200,
            "/v1/embedding": 200,
            "/v1/sources/{source_id}/sync": 404,
        }
        assert (await ground.http.get("/no/such/path")).status_code == 404


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
async def test_without_a_token_this_machine_needs_none(name: str) -> None:
    async with open_ground(base_url=f"http://{name}:8080") as ground:
        assert (await ground.ask()).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:8080"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": ""},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ],
)
async def test_without_a_token_other_sites_names_and_tunnels_are_kept_out(headers: dict[str, str]) -> None:
    async with open_ground(slack=SLACK) as ground:
        ground.http.headers.update(headers)
        assert set((await request_each(ground.http, GUARDED | SHELL)).values()) == {403}
        # Slack comes through a tunnel, and signs what it sends; probes come by whatever name.
        assert set((await request_each(ground.http, PUBLIC)).values()) == {200}
        assert ground.worker.events == []


async def test_the_page_itself_may_ask() -> None:
    async with open_ground() as ground:
        ground.http.headers.update({"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"})
        assert (await ground.ask()).status_code == 200


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.168.1.5", "bot.example.com"])
def test_a_server_open_to_others_without_a_token_does_not_start(host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_http_settings(make_settings(host=host))
    assert refused.value.setting == "HTTP_TOKEN"
    assert "HTTP_HOST" in refused.value.remedy


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        check_http_settings(make_settings(token="short"))
    assert refused.value.setting == "HTTP_TOKEN"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.0.1"])
def test_on_loopback_no_token_is_needed(host: str) -> None:
    check_http_settings(make_settings(host=host))


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/about", "/no/such/path", "/static/playground.js"])
async def test_every_response_tells_the_browser_to_run_nothing_but_our_own_files(path: str) -> None:
    async with open_ground() as ground:
        headers = (await ground.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


async def test_no_response_allows_another_site_to_read_it_or_sets_a_cookie() -> None:
    async with open_ground() as ground:
        for path in ("/", "/v1/about", "/healthz"):
            headers = (await ground.http.get(path, headers={"Origin": "http://127.0.0.1:8080"})).headers
            assert "access-control-allow-origin" not in headers
            assert "set-cookie" not in headers

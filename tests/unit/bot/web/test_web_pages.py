"""The pages and the operations: what is served, and that it loads nothing from elsewhere."""

from __future__ import annotations

import re

import pytest

from bot.metrics import Metrics
from bot.web.app import ASSETS
from bot.web.models import CheckOut, Readiness
from tests.unit.bot.web.web_ground import open_ground

PAGES = {"/": "playground.html", "/sources": "sources.html", "/docs": "docs.html"}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_holds_no_script_or_style_of_its_own_so_that_the_policy_can_be_strict(path: str) -> None:
    async with open_ground() as ground:
        html = (await ground.http.get(path)).text
        assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", html) == []


@pytest.mark.parametrize("path", PAGES)
async def test_everything_that_a_page_asks_for_is_served_by_us(path: str) -> None:
    async with open_ground() as ground:
        html = (await ground.http.get(path)).text
        wanted = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]+)"', html)
        assert wanted
        for address in wanted:
            assert address.startswith("/")
            assert (await ground.http.get(address)).status_code == 200


def test_no_file_of_the_page_names_another_host_or_parses_html() -> None:
    for file in ASSETS.glob("*.js"):
        code = file.read_text()
        assert re.findall(r"https?://(?!www\.w3\.org/)\w", code) == [], file.name
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", code) == [], (
            file.name
        )
    for file in ASSETS.glob("*.css"):
        assert re.findall(r"url\(|@import", file.read_text()) == [], file.name


async def test_modules_import_only_files_that_are_there() -> None:
    async with open_ground() as ground:
        for file in ASSETS.glob("*.js"):
            for name in re.findall(r'from "\./([^"]+)"', file.read_text()):
                response = await ground.http.get(f"/static/{name}")
                assert response.status_code == 200
                assert "javascript" in response.headers["content-type"]


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/none.js"])
async def test_nothing_but_the_assets_can_be_read(path: str) -> None:
    async with open_ground() as ground:
        assert (await ground.http.get(path)).status_code == 404


async def test_about_tells_the_page_what_this_installation_runs_on() -> None:
    async with open_ground() as ground:
        body = (await ground.http.get("/v1/about")).json()
        assert body["answerer"] == "extractive"
        assert body["platforms"] == [{"name": "web", "on": True, "remedy": None}]


async def test_health_says_that_the_process_lives() -> None:
    async with open_ground() as ground:
        assert (await ground.http.get("/healthz")).json() == {"status": "ok"}


async def test_health_is_red_when_only_a_restart_helps() -> None:
    async with open_ground(stuck_loops=lambda: ["claims"]) as ground:
        response = await ground.http.get("/healthz")
    assert (response.status_code, response.json()) == (503, {"status": "stuck", "stuck": ["claims"]})


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_told_by_status_and_in_words(ready: bool, status: int) -> None:
    async def report() -> Readiness:
        return Readiness(ready=ready, checks=[CheckOut(name="database", ok=ready)])

    async with open_ground(readiness=report) as ground:
        response = await ground.http.get("/readyz")
        assert response.status_code == status
        assert response.json()["checks"][0]["name"] == "database"


async def test_figures_are_in_the_form_that_prometheus_reads() -> None:
    async with open_ground(registry=Metrics().registry) as ground:
        response = await ground.http.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        assert "threadlore_events_total" in response.text


async def test_the_interface_describes_itself() -> None:
    async with open_ground() as ground:
        document = (await ground.http.get("/openapi.json")).json()
        assert set(document["paths"]) == {
            "/healthz",
            "/readyz",
            "/metrics",
            "/v1/about",
            "/v1/turns",
            "/v1/turns/{turn_id}/feedback",
            "/v1/sources",
            "/v1/embedding",
            "/v1/sources/{source_id}/sync",
        }
        ask = document["paths"]["/v1/turns"]["post"]
        assert set(ask["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
        assert {"Question", "AnswerOut", "Rating", "Failure"} <= set(document["components"]["schemas"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("GET", "/v1/turns"), ("DELETE", "/v1/about")]
)
async def test_what_is_not_there_fails_in_the_one_shape_of_every_error(method: str, path: str) -> None:
    async with open_ground() as ground:
        response = await ground.http.request(method, path)
        assert response.status_code in (404, 405)
        assert set(response.json()) == {"error"}
        assert set(response.json()["error"]) == {"code", "message"}


async def test_a_fault_of_ours_shows_nothing_of_our_insides() -> None:
    async def broken() -> Readiness:
        raise RuntimeError("password=hunter2")

    async with open_ground(readiness=broken) as ground:
        response = await ground.http.get("/readyz")
        assert response.status_code == 500
        assert response.json() == {
            "error": {"code": "internal", "message": "Something went wrong on our side."}
        }

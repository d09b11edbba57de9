"""The commands as a team uses them, in real processes on a real database, one after the other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.starting import Process, start_threadlore

HANDBOOK = """# Travel

## How do I book a train?

Book trains with the travel desk, extension 4711, at least two days ahead.

## How are hotels paid?

Hotels are paid with the company card.
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Terminal:
    """Runs commands in a folder, with the settings of this test; `is_cold`: on the true command line."""

    folder: Path
    database_url: str
    port: int
    is_cold: bool = False

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "DATABASE_URL": self.database_url,
            "THREADLORE_HOME": str(self.folder / "home"),
            "KNOWLEDGE": str(self.folder / "handbook"),
            "HTTP_PORT": str(self.port),
        }

    async def start(self, *arguments: str) -> Process:
        return await start_threadlore(
            arguments,
            environment=self.environment(),
            folder=self.folder,
            stdin=asyncio.subprocess.PIPE,
            is_cold=self.is_cold,
        )

    async def run(self, *arguments: str, text: str = "") -> Done:
        process = await self.start(*arguments)
        out, err = await process.communicate(text.encode())
        return Done(process.returncode or 0, out.decode(), err.decode())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[httpx.AsyncClient]:
        """`threadlore serve`, ready; asked to stop at the end, which must go well."""
        server = await self.start("serve")
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=60) as http:
                await until_ready(http, server)
                yield http
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGTERM)
            out, err = await asyncio.wait_for(server.communicate(), timeout=40)
        assert server.returncode == 0, (out.decode(), err.decode())


async def until_ready(http: httpx.AsyncClient, server: Process) -> None:
    async with asyncio.timeout(60):
        while server.returncode is None:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("the server ended before it was ready")


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Terminal:
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "travel.md").write_text(HANDBOOK)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return Terminal(tmp_path, database_url, port)


def cold(terminal: Terminal) -> Terminal:
    """The same on the true command line, as people start it: each kind of command does so in one of these tests."""
    return replace(terminal, is_cold=True)


async def test_documents_go_in_are_found_answer_and_can_be_asked_about_further(terminal: Terminal) -> None:
    first = (await terminal.run("ingest", "handbook", "--collection", "people")).json()
    assert set(first) == {
        "documents",
        "chunks",
        "added",
        "updated",
        "deleted",
        "unchanged",
        "failed",
        "seconds",
    }
    assert (first["documents"], first["added"], first["failed"]) == (1, 1, [])
    again = (await cold(terminal).run("ingest", "handbook", "--collection", "people")).json()
    assert (again["added"], again["unchanged"]) == (0, 1)

    (best, *_) = (await terminal.run("search", "book a train", "-k", "3", "--json")).json()
    assert list(best) == ["rank", "score", "document_id", "title", "uri", "text"]
    assert best["rank"] == 1
    assert "4711" in best["text"]

    asked = await terminal.run("ask", "How do I book a train?", "--thread", "trip", "--json")
    answer = asked.json()
    assert asked.code == 0
    assert list(answer) == ["answer", "citations", "abstained", "reason", "turn_id", "trace_id"]
    assert "4711" in answer["answer"]
    assert answer["abstained"] is False
    assert list(answer["citations"][0]) == ["n", "title", "uri", "quote"]

    (turn,) = (await terminal.run("export", "turns")).lines()
    assert (turn["id"], turn["thread"]["id"]) == (answer["turn_id"], "trip")


@pytest.mark.long
async def test_an_audience_without_a_grant_finds_nothing(terminal: Terminal) -> None:
    await terminal.run("ingest", "handbook", "--collection", "people", "--grant", "slack:T1/C1")
    assert (await terminal.run("search", "train", "--json")).json() == []
    assert (await terminal.run("search", "train", "--as", "slack:T1/C2", "--json")).json() == []
    assert (await terminal.run("search", "train", "--as", "slack:T1/C1", "--json")).json() != []


@pytest.mark.long
async def test_what_cannot_be_read_is_told_and_fails_only_when_nothing_else_was_there(
    terminal: Terminal,
) -> None:
    (terminal.folder / "handbook" / "broken.pdf").write_text("not a PDF")
    some = await terminal.run("ingest", "handbook")
    assert some.code == 0
    assert [Path(failed["uri"]).name for failed in some.json()["failed"]] == ["broken.pdf"]
    none = await terminal.run("ingest", "no-such-folder")
    assert none.code == 1
    assert none.json()["failed"][0]["reason"]


@pytest.mark.timeout(300)
async def test_sources_are_listed_synced_and_removed(terminal: Terminal) -> None:
    (terminal.folder / "handbook" / "broken.pdf").write_text("not a PDF")
    await terminal.run("ingest", "handbook", "--collection", "people")

    shown = (await terminal.run("sources")).out
    assert f"{terminal.folder}/handbook  [incomplete]" in shown
    assert "not read: handbook/broken.pdf: The PDF is broken." in shown

    (terminal.folder / "handbook" / "broken.pdf").unlink()
    (terminal.folder / "handbook" / "hotel.md").write_text("Hotels are booked in town.")
    synced = (await terminal.run("sources", "sync", "handbook")).json()
    assert (synced["added"], synced["unchanged"], synced["failed"]) == (1, 1, [])
    (listed,) = (await terminal.run("sources", "--json")).json()
    assert (listed["kept_by"], listed["state"], listed["documents"]) == ("command", "ok", 2)
    assert (listed["failed"], listed["next_sync_at"]) == ([], None)

    removed = await terminal.run("sources", "remove", "handbook", "--yes", "--json")
    assert removed.json()["documents"] == 2


async def test_a_chat_in_a_pipe_answers_takes_a_rating_and_can_be_erased(terminal: Terminal) -> None:
    done = await cold(terminal).run("chat", text="How are hotels paid?\n- too short\n/quit\n")
    assert done.code == 0
    assert "company card" in done.out
    (rating,) = (await terminal.run("export", "feedback")).lines()
    assert list(rating) == [
        "turn_id",
        "platform",
        "workspace",
        "author",
        "rating",
        "via",
        "comment",
        "at",
        "withdrawn_at",
    ]
    assert (rating["rating"], rating["via"], rating["comment"]) == (-1, "button", "too short")
    erased = await terminal.run("forget", "user", f"console:local/{rating['author']}", "--yes", "--json")
    assert erased.json()["turns"] == 1
    assert (await terminal.run("export", "turns")).out == ""
    assert (await terminal.run("export", "feedback")).out == ""


async def test_the_doctor_finds_a_fresh_set_up_in_order(terminal: Terminal) -> None:
    done = await cold(terminal).run("doctor", "--json")
    findings = done.json()
    assert done.code == 0, findings
    assert {finding["name"] for finding in findings} >= {"home", "database", "embedder", "knowledge", "http"}
    assert all(set(finding) == {"name", "status", "detail", "remedy", "ok"} for finding in findings)


async def test_a_question_over_http_is_answered_streamed_rated_and_exported(terminal: Terminal) -> None:
    await terminal.run("ingest", "handbook")
    async with cold(terminal).serving() as http:
        body = {"text": "How are hotels paid?", "include_passages": True}
        answer = (await http.post("/v1/turns", json=body)).json()
        assert "company card" in answer["answer"]
        assert answer["passages"][0]["rank"] == 1
        follow_up = {"text": "How do I book a train?", "thread": answer["thread"], "stream": True}
        streamed = (await http.post("/v1/turns", json=follow_up)).text
        assert "event: answer" in streamed
        assert "4711" in streamed
        for rating in (1, -1):
            rated = await http.post(f"/v1/turns/{answer['turn_id']}/feedback", json={"rating": rating})
            assert rated.status_code == 202
        ratings = await until_rated(terminal)
        assert "threadlore_turn_seconds" in (await http.get("/metrics")).text
    assert [(one["turn_id"], one["platform"], one["rating"]) for one in ratings] == [
        (answer["turn_id"], "web", -1)
    ]


async def until_rated(terminal: Terminal) -> list[Any]:
    async with asyncio.timeout(30):
        while True:
            ratings = (await terminal.run("export", "feedback")).lines()
            if [one["rating"] for one in ratings] == [-1]:
                return ratings

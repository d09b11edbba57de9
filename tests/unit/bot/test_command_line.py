"""The commands from outside: help, exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app

HEAVY = {
    "sqlalchemy",
    "fastapi",
    "langgraph",
    "langchain_core",
    "slack_bolt",
    "discord",
    "numpy",
    "onnxruntime",
}


def run(
    *arguments: str, cwd: Path, settings: dict[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """One command in a folder without .env, with these settings only."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bot", *arguments],
        cwd=cwd,
        env={**kept, "THREADLORE_HOME": str(cwd / "home"), **(settings or {})},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in (
        "serve",
        "ask",
        "chat",
        "ingest",
        "search",
        "sources",
        "eval",
        "doctor",
        "manifest",
        "migrate",
        "forget",
        "export",
    ):
        assert f"  {command} " in done.stdout
    assert done.stderr == ""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys, bot.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("search",),
        ("search", "x", "-k", "0"),
        ("serve", "--role", "all of them"),
        ("ask", " "),
    ],
)
def test_wrong_usage_exits_2_and_says_why_on_stderr(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stderr.strip() or not arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "retrieval", "/no/such/folder"),
        ("forget", "user", "nobody"),
        ("forget", "workspace", "slack:T1"),
    ],
)
def test_what_cannot_be_meant_exits_2_without_a_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("threadlore: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"LOG_LEVEL": "LOUD"}, ("export", "turns")),
        ({"TURN_TIMEOUT_SECONDS": "soon"}, ("search", "x")),
        ({"CHAT_MODEL": "gpt"}, ("ask", "x")),
        ({"DATABASE_URL": "mysql://user:hunter2@host/name"}, ("migrate",)),
        ({"HTTP_HOST": "0.0.0.0"}, ("serve",)),  # noqa: S104 - refused before it listens
        ({"HTTP_PORT": "high"}, ("serve",)),
    ],
)
def test_a_wrong_setting_exits_2_and_names_itself_and_the_remedy(
    settings: dict[str, str], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path, settings=settings)
    assert done.returncode == 2
    problem, remedy, *_ = done.stderr.strip().splitlines()
    named = "HTTP_TOKEN" if "HTTP_HOST" in settings else next(iter(settings))
    assert problem.startswith(f"threadlore: {named}")
    assert remedy.startswith("  ")
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_server_that_is_away_exits_1_without_a_traceback(tmp_path: Path) -> None:
    settings = {"DATABASE_URL": "postgresql://user:hunter2@127.0.0.1:1/name"}
    done = run("export", "turns", cwd=tmp_path, settings=settings)
    assert done.returncode in (1, 2)
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_slack_manifest_is_json_that_a_form_takes(tmp_path: Path) -> None:
    done = run("manifest", "slack", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["display_information"]["name"] == "Threadlore"


def test_the_discord_manifest_is_an_invite_link(tmp_path: Path) -> None:
    done = run("manifest", "discord", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["invite"].startswith("https://discord.com/oauth2/authorize?")

"""What reaches the log, in a process of its own: structured, bound to its turn, free of secrets."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging, structlog
from core.logs import bind, configure_logs
configure_logs("{level}", "{style}")
log = structlog.get_logger("demo")
with bind(turn_id="t-1", trace_id="tr-1"):
    log.info("turn_ended", slack_token="xoxb-12345678", detail="sent Bearer abcdefgh12345 to postgresql://me:pass@host/db",
             input_tokens=7, nested={{"password": "hunter2", "list": ["sk-abcdefghijkl"]}})
    try:
        private_text = "what somebody asked"
        raise ValueError("broken")
    except ValueError:
        log.exception("turn_broke")
logging.getLogger("discord.http").debug("POST /webhooks/1/secret-token")
logging.getLogger("httpx").info("HTTP Request")
logging.getLogger("somebody.else").warning("from %s", "the standard library")
"""


def run(level: str = "INFO", style: str = "json") -> str:
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", SCRIPT.format(level=level, style=style)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "", "logs belong on stderr"
    return done.stderr


def test_every_line_is_json_with_the_turn_it_belongs_to() -> None:
    lines = [json.loads(line) for line in run().splitlines()]
    assert [line["event"] for line in lines] == ["turn_ended", "turn_broke", "from the standard library"]
    assert lines[0]["turn_id"] == "t-1"
    assert lines[0]["trace_id"] == "tr-1"
    assert lines[0]["input_tokens"] == 7
    assert lines[0]["level"] == "info"
    assert lines[1]["exception"][0]["exc_type"] == "ValueError"


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_no_secret_and_no_local_variable_is_written(level: str, style: str) -> None:
    text = run(level, style)
    for secret in ("xoxb-12345678", "abcdefgh12345", "me:pass", "hunter2", "sk-abcdefghijkl", "secret-token"):
        assert secret not in text
    assert "what somebody asked" not in text.replace('private_text = "what somebody asked"', "")

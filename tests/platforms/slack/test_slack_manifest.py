"""The manifest names what the code uses: every method that is called, every event that is parsed."""

from __future__ import annotations

import re
from pathlib import Path

from bot.slack.manifest import EVENT_SCOPES, METHOD_SCOPES

CODE = Path(__file__).parents[3] / "bot" / "slack"
METHOD = re.compile(
    r"\"((?:chat|conversations|views|users|assistant|auth|reactions|apps|oauth|team|files)\.[a-zA-Z.]+)\""
)


def test_every_method_in_the_code_is_in_the_table_and_the_other_way_round() -> None:
    used: set[str] = set()
    for path in CODE.glob("*.py"):
        if path.name != "manifest.py":
            used |= set(METHOD.findall(path.read_text()))
    by_the_library = {"oauth.v2.access"}
    assert used | by_the_library == set(METHOD_SCOPES)


def test_every_event_that_is_subscribed_to_is_parsed() -> None:
    code = "".join((CODE / name).read_text() for name in ("events.py", "receiving.py"))
    for event in EVENT_SCOPES:
        assert f'"{event.partition(".")[0]}"' in code, event

"""Places as people write them on the command line."""

from __future__ import annotations

import pytest

from bot.commands.naming import parse_audience, parse_grant, parse_place, parse_thread, render_grant
from bot.commands.running import WRONG_USAGE, CommandFailedError
from core.knowledge.documents import Grant
from core.messages import Audience


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("everyone", Grant()),
        ("slack", Grant(platform="slack")),
        ("slack:T1", Grant(platform="slack", workspace="T1")),
        ("slack:T1/C1", Grant(platform="slack", workspace="T1", channel="C1")),
    ],
)
def test_a_grant_names_everyone_a_platform_a_workspace_or_a_channel(text: str, grant: Grant) -> None:
    assert parse_grant(text) == grant
    assert render_grant(grant) == text


@pytest.mark.parametrize("text", ["", ":T1", "slack:", "slack:T1/", "slack:/C1"])
def test_a_grant_with_a_gap_is_refused_instead_of_widened(text: str) -> None:
    with pytest.raises(CommandFailedError) as refused:
        parse_grant(text)
    assert refused.value.code == WRONG_USAGE


def test_an_audience_is_a_channel() -> None:
    assert parse_audience("slack:T1/C1") == Audience(platform="slack", workspace="T1", channel="C1")


def test_a_thread_may_hold_slashes() -> None:
    thread = parse_thread("console:local/terminal/a/b")
    assert thread.key == ("console", "local", "terminal", "a/b")


@pytest.mark.parametrize("text", ["slack", "slack:T1", "slack:T1/", "slack:/U1", "T1/U1"])
def test_a_place_with_missing_parts_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandFailedError) as refused:
        parse_place(text, "platform:workspace/user")
    assert refused.value.code == WRONG_USAGE
    assert "platform:workspace/user" in str(refused.value)

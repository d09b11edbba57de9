"""What every payload of Slack tells: where it happened, when, and who we are there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.messages import Channel, Frozen

PLATFORM = "slack"
SLACKBOT = "USLACKBOT"
Payload = Mapping[str, Any]

_PRIVATE_TYPES = frozenset({"im", "mpim", "group"})


class BotIdentity(Frozen):
    """Who we are in a workspace: our user (U...) and our bot (B...)."""

    user_id: str
    bot_id: str | None = None


def workspace_of(payload: Payload) -> str:
    """The workspace through which we got the payload: in a shared channel that is ours, not the author's."""
    view = payload.get("view") or {}
    authorization: Payload = (payload.get("authorizations") or ({},))[0]
    team = payload.get("team")
    found = (
        view.get("app_installed_team_id")
        or authorization.get("team_id")
        or payload.get("context_team_id")
        or payload.get("team_id")
        or (team.get("id") if isinstance(team, dict) else team)
        or (payload.get("user") or {}).get("team_id")
        or payload.get("enterprise_id")
    )
    if not found:
        raise ValueError("the payload names no workspace")
    return str(found)


def parse_channel(
    payload: Payload, channel_id: str, kind: str | None, known_private: Mapping[str, bool]
) -> Channel:
    """Where it happened. `known_private` says of channels whether they are private, for payloads that do not say it
    themselves (`kind` is None); without an entry such a channel counts as private."""
    private = kind in _PRIVATE_TYPES if kind else channel_id[:1] != "C" or known_private.get(channel_id, True)
    outsiders = bool(payload.get("is_ext_shared_channel"))
    return Channel(
        platform=PLATFORM,
        workspace=workspace_of(payload),
        id=channel_id,
        private=private,
        outsiders=outsiders,
    )


def time_of(ts: str) -> datetime:
    """Slack's timestamp as a time."""
    return datetime.fromtimestamp(float(ts), UTC)

"""What an administrator needs to add the bot to a server: the invite link and the intents. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import urlencode

SCOPES = ("bot", "applications.commands")
PERMISSIONS = {
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Read Message History": 1 << 16,
    "Send Messages in Threads": 1 << 38,
}
INTENTS = {
    "Guilds": "which channels and threads there are, and who can see them",
    "Guild Messages": "mentions, replies and threads",
    "Direct Messages": "questions asked in private",
    "Guild Message Reactions": "feedback under an answer",
    "Direct Message Reactions": "feedback under an answer",
    "Message Content": "follow-ups in a thread without a new mention; switch it on under Bot in the developer portal",
}
PLACEHOLDER = "YOUR_APPLICATION_ID"


def application_id_of(token: str) -> str | None:
    """The application that a bot token belongs to: its first part is the id in base64."""
    first = token.partition(".")[0]
    try:
        id_ = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return id_ if re.fullmatch(r"\d{5,20}", id_) else None


def build_manifest(token: str | None) -> dict[str, Any]:
    """Invite link, scopes, permissions and intents; without a token the link has a placeholder."""
    application_id = (application_id_of(token) if token else None) or PLACEHOLDER
    permissions = sum(PERMISSIONS.values())
    query = urlencode(
        {"client_id": application_id, "scope": " ".join(SCOPES), "permissions": str(permissions)}
    )
    return {
        "application_id": application_id,
        "invite": f"https://discord.com/oauth2/authorize?{query}",
        "scopes": list(SCOPES),
        "permissions": list(PERMISSIONS),
        "intents": dict(INTENTS),
        "privileged_intents": ["Message Content"],
    }


def render_manifest(manifest: dict[str, Any]) -> str:
    """The manifest for people to read."""
    lines = ["Invite link:", f"  {manifest['invite']}", "", "Permissions:"]
    lines += [f"  {name}" for name in manifest["permissions"]]
    lines += ["", "Intents:"]
    lines += [f"  {name}: {why}" for name, why in manifest["intents"].items()]
    if manifest["application_id"] == PLACEHOLDER:
        lines += ["", f"Set DISCORD_TOKEN to have {PLACEHOLDER} filled in."]
    return "\n".join(lines)

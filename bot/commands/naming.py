"""How people write places on the command line: platform:workspace/channel/thread. Pure."""

from __future__ import annotations

from bot.commands.running import WRONG_USAGE, CommandFailedError
from core.knowledge.documents import Grant
from core.messages import Audience, Channel, Thread

EVERYONE = "everyone"


def parse_place(text: str, shape: str) -> tuple[str, ...]:
    """The parts of `text`, which must have those of `shape` ("platform:workspace/channel"); the last one
    may hold slashes. Raises CommandFailedError."""
    platform, colon, rest = text.partition(":")
    wanted = 1 + len(shape.partition(":")[2].split("/"))
    parts = (platform, *rest.split("/", wanted - 2))
    if not colon or len(parts) != wanted or not all(parts):
        raise CommandFailedError(f"{text!r} is not of the form {shape}", code=WRONG_USAGE)
    return parts


def parse_audience(text: str) -> Audience:
    platform, workspace, channel = parse_place(text, "platform:workspace/channel")
    return Audience(platform=platform, workspace=workspace, channel=channel)


def parse_grant(text: str) -> Grant:
    """`everyone`, `platform`, `platform:workspace` or `platform:workspace/channel`."""
    if text == EVERYONE:
        return Grant()
    platform, colon, rest = text.partition(":")
    workspace, slash, channel = rest.partition("/")
    if not platform or (colon and not workspace) or (slash and not channel):
        raise CommandFailedError(
            f"{text!r} does not say who may read: write everyone, slack, slack:T1 or slack:T1/C1",
            code=WRONG_USAGE,
        )
    return Grant(platform=platform, workspace=workspace or None, channel=channel or None)


def render_grant(grant: Grant) -> str:
    """As people write it; `parse_grant` reads it back."""
    if grant.platform is None:
        return EVERYONE
    place = "/".join(part for part in (grant.workspace, grant.channel) if part)
    return f"{grant.platform}:{place}" if place else grant.platform


def parse_thread(text: str) -> Thread:
    platform, workspace, channel, thread = parse_place(text, "platform:workspace/channel/thread")
    return Thread(channel=Channel(platform=platform, workspace=workspace, id=channel), id=thread)

"""The web playground and the HTTP interface as a platform."""

from __future__ import annotations

from bot.mailbox import MailboxAdapter
from core.messages import Channel

WEB_CHANNEL = Channel(platform="web", workspace="local", id="http")
"""Everybody who may use the HTTP interface reads what everybody else may read."""


class WebAdapter(MailboxAdapter):
    platform = "web"

"""The terminal as a platform."""

from __future__ import annotations

from bot.mailbox import MailboxAdapter
from core.messages import Channel

CONSOLE_CHANNEL = Channel(platform="console", workspace="local", id="terminal")


class ConsoleAdapter(MailboxAdapter):
    platform = "console"

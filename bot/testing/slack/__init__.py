"""A loopback Slack: Web API, Socket Mode and the Events API, with Slack's limits and faults on order."""

from bot.testing.slack.delivering import SlackDelivery, Timing
from bot.testing.slack.faults import ApiCall, Fault
from bot.testing.slack.server import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, SlackServer
from bot.testing.slack.state import SlackChannel, SlackMessage, Workspace

__all__ = [
    "APP_TOKEN",
    "BOT_TOKEN",
    "SIGNING_SECRET",
    "ApiCall",
    "Fault",
    "SlackChannel",
    "SlackDelivery",
    "SlackMessage",
    "SlackServer",
    "Timing",
    "Workspace",
]

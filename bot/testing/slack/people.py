"""What people do in the loopback Slack, and the payloads that Slack makes of it."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from bot.testing.slack.delivering import Deliverer, Kind, SlackDelivery
from bot.testing.slack.limits import TRIGGER_SECONDS
from bot.testing.slack.state import ChannelKind, Clock, Json, SlackChannel, SlackMessage, Workspace, kind_of
from bot.testing.slack.web_api import WebApi


class People:
    """The verbs. Each changes what there is, begins to deliver what Slack would tell, and returns at once."""

    def __init__(self, workspace: Workspace, clock: Clock, deliverer: Deliverer, *, echoes: bool) -> None:
        self.workspace = workspace
        self.clock = clock
        self.deliverer = deliverer
        self.echoes = echoes
        self.api = WebApi(clock, self._announce)
        self.api.workspaces[workspace.bot_token] = workspace

    def channel(
        self, channel_id: str, kind: ChannelKind | None = None, team_id: str | None = None
    ) -> SlackChannel:
        """The channel of this id; made on first use, its kind by the first letter."""
        found = self.api.channels.get(channel_id)
        if found is None:
            team = team_id or self.workspace.team_id
            found = SlackChannel(channel_id, kind or kind_of(channel_id), team)
            self.api.channels[channel_id] = found
        return found

    def message(self, channel: str, ts: str) -> SlackMessage:
        """Raises KeyError."""
        return self.channel(channel).messages[ts]

    async def post_message(
        self,
        user: str,
        channel: str,
        text: str,
        thread_ts: str | None = None,
        *,
        subtype: str | None = None,
        bot_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Somebody writes; returns the ts. `fields` go into the event as they are (files, user_team, ...)."""
        place = self.channel(channel)
        message = SlackMessage(
            channel, self.clock.ts(), user, text, thread_ts, bot_id=bot_id, subtype=subtype
        )
        place.keep(message)
        event = {**message.payload(), "team": place.team_id, **fields}
        self._announce(place, event, to_all=True)
        workspace = self._workspace_of(place)
        if f"<@{workspace.bot_user_id}" in text and place.kind != "im" and subtype is None:
            mention = {**event, "type": "app_mention", "channel": channel, "event_ts": message.ts}
            self.emit(mention, team_id=place.team_id)
        return message.ts

    async def mention(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Somebody names the bot and asks."""
        bot = self._workspace_of(self.channel(channel)).bot_user_id
        return await self.post_message(user, channel, f"<@{bot}> {text}", thread_ts)

    async def dm(self, user: str, text: str, thread_ts: str | None = None) -> str:
        """Somebody writes to the bot alone; the channel is D and the user's id."""
        return await self.post_message(user, f"D{user}", text, thread_ts)

    async def edit(self, channel: str, ts: str, text: str) -> None:
        """The author changes a message. With the text as it was: what Slack sends for a link preview."""
        place, message = self.channel(channel), self.message(channel, ts)
        before = message.payload()
        message.edits += text != message.text
        message.text = text
        event = {"subtype": "message_changed", "hidden": True}
        self._announce(
            place, {**event, "message": message.payload(), "previous_message": before}, to_all=True
        )

    async def delete(self, channel: str, ts: str) -> None:
        """Somebody removes a message; the root of a thread with replies leaves a tombstone."""
        place, message = self.channel(channel), self.message(channel, ts)
        before = message.payload()
        has_replies = any(reply.ts != ts for reply in place.thread(ts))
        message.deleted = True
        if has_replies:
            tombstone = {
                **before,
                "subtype": "tombstone",
                "text": "This message was deleted.",
                "user": "USLACKBOT",
            }
            event: Json = {"subtype": "message_changed", "hidden": True, "message": tombstone}
        else:
            event = {"subtype": "message_deleted", "hidden": True, "deleted_ts": ts}
        self._announce(place, {**event, "previous_message": before}, to_all=True)

    async def react(self, user: str, channel: str, ts: str, emoji: str) -> None:
        """Somebody puts an emoji under a message."""
        self.message(channel, ts).reactions.setdefault(emoji, set()).add(user)
        self._emit_reaction("reaction_added", user, channel, ts, emoji)

    async def unreact(self, user: str, channel: str, ts: str, emoji: str) -> None:
        """Somebody takes an emoji back."""
        self.message(channel, ts).reactions.get(emoji, set()).discard(user)
        self._emit_reaction("reaction_removed", user, channel, ts, emoji)

    async def click_feedback(self, user: str, channel: str, ts: str, rating: int) -> SlackDelivery:
        """Somebody clicks a thumb under an answer."""
        message = self.message(channel, ts)
        block = message.block("context_actions")
        if block is None:
            raise ValueError("the message has no feedback buttons")
        element = block["elements"][0]
        button = element["positive_button" if rating > 0 else "negative_button"]
        action_ts, trigger_id = self.clock.ts(), uuid4().hex
        self.api.triggers[trigger_id] = time.monotonic() + TRIGGER_SECONDS
        action = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": "thumbs",
            "value": button["value"],
            "text": button["text"],
            "action_ts": action_ts,
        }
        container = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False}
        if message.thread_ts is not None:
            container["thread_ts"] = message.thread_ts
        payload = {
            **self._interaction("block_actions", user, self.channel(channel).team_id),
            "container": container,
            "channel": {"id": channel, "name": channel.lower()},
            "message": message.payload(),
            "actions": [action],
            "trigger_id": trigger_id,
            "response_url": "http://127.0.0.1:9/response",
        }
        return self.deliverer.deliver("interactive", payload)

    async def submit_modal(self, user: str, comment: str | None) -> SlackDelivery:
        """Somebody fills the field of the modal that was opened last and sends it."""
        view = list(self.api.views.values())[-1]
        field = view["blocks"][0]
        value = {"type": "plain_text_input", "value": comment}
        state = {"values": {field["block_id"]: {field["element"]["action_id"]: value}}}
        payload = {
            **self._interaction("view_submission", user, view["team_id"]),
            "view": {**view, "state": state, "hash": uuid4().hex},
        }
        return self.deliverer.deliver("interactive", payload)

    async def remove_app(self, team_id: str | None = None, kind: str = "app_uninstalled") -> None:
        """Somebody removes the app from a workspace, or revokes its token: no call works from here on."""
        team = team_id or self.workspace.team_id
        workspace = next(w for w in self.api.workspaces.values() if w.team_id == team)
        del self.api.workspaces[workspace.bot_token]
        self.api.revoked_tokens.add(workspace.bot_token)
        event: Json = {"type": kind}
        if kind == "tokens_revoked":
            event["tokens"] = {"oauth": [], "bot": [workspace.bot_user_id]}
        self._deliver_event(event, workspace)

    # --- payloads -----------------------------------------------------------------------------------

    def emit(self, event: Json, team_id: str | None = None, **envelope: Any) -> SlackDelivery:
        """Deliver any event, in the envelope that Slack puts round it."""
        team = team_id or self.workspace.team_id
        workspace = next(w for w in self.api.workspaces.values() if w.team_id == team)
        return self._deliver_event(event, workspace, **envelope)

    def _deliver_event(self, event: Json, workspace: Workspace, **envelope: Any) -> SlackDelivery:
        team = workspace.team_id
        authorization = {
            "enterprise_id": None,
            "team_id": team,
            "user_id": workspace.bot_user_id,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        payload = {
            "token": "loopback",
            "team_id": team,
            "context_team_id": team,
            "api_app_id": "A0LOOPBACK",
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{uuid4().hex[:12].upper()}",
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": self._is_shared(event),
            **envelope,
        }
        return self.deliverer.deliver("events_api", payload)

    def redeliver(self, delivery: SlackDelivery) -> SlackDelivery:
        """The same payload once more, as Slack does when it believes that it was not heard."""
        kind: Kind = delivery.kind
        return self.deliverer.deliver(kind, delivery.payload)

    def _is_shared(self, event: Json) -> bool:
        item = event.get("item") or {}
        place = self.api.channels.get(str(event.get("channel") or item.get("channel") or ""))
        return place is not None and place.shared

    def _announce(self, channel: SlackChannel, event: Json, *, to_all: bool = False) -> None:
        if not channel.has_bot or not (to_all or self.echoes):
            return
        ts = self.clock.ts() if "subtype" in event and "ts" not in event else event["ts"]
        event = {
            "type": "message",
            **event,
            "channel": channel.id,
            "channel_type": channel.kind,
            "ts": ts,
            "event_ts": ts,
        }
        self.emit(event, team_id=channel.team_id)

    def _emit_reaction(self, kind: str, user: str, channel: str, ts: str, emoji: str) -> None:
        place = self.channel(channel)
        event = {
            "type": kind,
            "user": user,
            "reaction": emoji,
            "item_user": self.message(channel, ts).user,
            "item": {"type": "message", "channel": channel, "ts": ts},
            "event_ts": self.clock.ts(),
        }
        self.emit(event, team_id=place.team_id)

    def _interaction(self, kind: str, user: str, team_id: str) -> Json:
        return {
            "type": kind,
            "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": team_id},
            "team": {"id": team_id, "domain": "loopback"},
            "api_app_id": "A0LOOPBACK",
            "token": "loopback",
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _workspace_of(self, channel: SlackChannel) -> Workspace:
        return next(w for w in self.api.workspaces.values() if w.team_id == channel.team_id)

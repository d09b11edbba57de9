"""The Web API of the loopback Slack: one method of this class for each method of Slack's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from bot.testing.slack import limits
from bot.testing.slack.installing import Installing
from bot.testing.slack.limits import ApiError
from bot.testing.slack.state import Clock, Json, SlackChannel, SlackMessage, Workspace

T = TypeVar("T")
_TYPES = {"channel": "public_channel", "group": "private_channel", "im": "im", "mpim": "mpim"}

Announce = Callable[[SlackChannel, Json], None]
"""Tells the app of a message event in a channel."""


class WebApi:
    """State and methods. `announce` is called for what the app's own posts make happen."""

    def __init__(self, clock: Clock, announce: Announce) -> None:
        self.clock = clock
        self.workspaces: dict[str, Workspace] = {}
        self.app_tokens: set[str] = set()
        self.revoked_tokens: set[str] = set()
        self.channels: dict[str, SlackChannel] = {}
        self.users: dict[str, str] = {}
        self.statuses: dict[tuple[str, str], list[str]] = {}
        self.suggested_prompts: dict[tuple[str, str], Json] = {}
        self.triggers: dict[str, float] = {}
        self.views: dict[str, Json] = {}
        self.installing = Installing(self.workspaces)
        self.socket_url: Callable[[], str] = lambda: ""
        self.stream_seconds = limits.STREAM_SECONDS
        self.seconds_between_messages = 0.0
        self.reading_limit: limits.ReadingLimit | None = None
        self._announce = announce
        self._methods: dict[str, Callable[[Workspace, Json], Json]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.startStream": self._start_stream,
            "chat.appendStream": self._append_stream,
            "chat.stopStream": self._stop_stream,
            "conversations.replies": self._replies,
            "conversations.history": self._history,
            "users.conversations": self._conversations,
            "conversations.info": self._info,
            "users.info": self._user_info,
            "views.open": self._open_view,
            "assistant.threads.setStatus": self._set_status,
            "assistant.threads.setSuggestedPrompts": self._set_suggested_prompts,
        }

    def call(self, method: str, token: str, arguments: Json) -> Json:
        """The answer's body. Raises ApiError."""
        if method == "apps.connections.open":
            if token not in self.app_tokens:
                raise ApiError("invalid_auth")
            return {"ok": True, "url": self.socket_url()}
        if method == "oauth.v2.access":
            return self.installing.access(arguments)
        handler = self._methods.get(method)
        if handler is None:
            raise ApiError("unknown_method")
        workspace = self.workspaces.get(token)
        if workspace is None:
            code = "token_revoked" if token in self.revoked_tokens else "invalid_auth"
            raise ApiError(code if token else "not_authed")
        if self.reading_limit is not None and method in ("conversations.history", "conversations.replies"):
            self.reading_limit.check(method)
        return {"ok": True, **handler(workspace, arguments)}

    # --- who ----------------------------------------------------------------------------------------

    def _auth_test(self, workspace: Workspace, arguments: Json) -> Json:
        return {
            "url": "https://loopback.slack.com/",
            "team": "Loopback",
            "user": "threadlore",
            "team_id": workspace.team_id,
            "user_id": workspace.bot_user_id,
            "bot_id": workspace.bot_id,
            "is_enterprise_install": False,
        }

    def _user_info(self, workspace: Workspace, arguments: Json) -> Json:
        user = arguments.get("user", "")
        if user not in self.users:
            raise ApiError("user_not_found")
        name = self.users[user]
        return {"user": {"id": user, "name": name, "profile": {"display_name": name}, "is_bot": False}}

    # --- posting ------------------------------------------------------------------------------------

    def _place(self, workspace: Workspace, arguments: Json, *, posting: bool = True) -> SlackChannel:
        channel = self.channels.get(arguments.get("channel") or arguments.get("channel_id") or "")
        if channel is None or channel.team_id != workspace.team_id:
            raise ApiError("channel_not_found")
        if posting and not channel.has_bot:
            raise ApiError("not_in_channel")
        if posting and channel.archived:
            raise ApiError("is_archived")
        return channel

    def _new_message(self, workspace: Workspace, channel: SlackChannel, arguments: Json) -> SlackMessage:
        thread_ts = arguments.get("thread_ts")
        if thread_ts is not None:
            root = channel.messages.get(thread_ts)
            if root is None or root.deleted:
                raise ApiError("thread_not_found")
            thread_ts = root.thread_ts or thread_ts
        return SlackMessage(
            channel=channel.id,
            ts=self.clock.ts(),
            user=workspace.bot_user_id,
            bot_id=workspace.bot_id,
            text="",
            thread_ts=thread_ts,
        )

    def _fill(self, message: SlackMessage, arguments: Json) -> None:
        text, blocks = arguments.get("text") or "", limits.check_blocks(arguments.get("blocks"))
        if not text and not blocks:
            raise ApiError("no_text")
        if len(text) > limits.TEXT_CHARACTERS:
            raise ApiError("msg_too_long")
        metadata = limits.check_metadata(arguments.get("metadata"))
        message.text, message.blocks, message.streamed = text, blocks, ""
        message.metadata = metadata or message.metadata
        message.unfurl = arguments.get("unfurl_links", False) or arguments.get("unfurl_media", True)
        message.seen.append(message.markdown)

    def _post_message(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        message = self._new_message(workspace, channel, arguments)
        self._fill(message, arguments)
        self._keep(channel, message)
        return {"channel": channel.id, "ts": message.ts, "message": message.payload()}

    def _keep(self, channel: SlackChannel, message: SlackMessage) -> None:
        wait = channel.posted_at + self.seconds_between_messages - time.monotonic()
        if self.seconds_between_messages and wait > 0:
            raise ApiError("ratelimited", wait)
        channel.posted_at = time.monotonic()
        channel.keep(message)
        if message.only_for is None:
            self._announce(channel, message.payload())

    def _post_ephemeral(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        if not arguments.get("user"):
            raise ApiError("invalid_arguments")
        message = self._new_message(workspace, channel, arguments)
        message.only_for = arguments["user"]
        self._fill(message, arguments)
        self._keep(channel, message)
        return {"message_ts": message.ts}

    def _own(
        self, workspace: Workspace, channel: SlackChannel, arguments: Json, not_own: str
    ) -> SlackMessage:
        message = channel.messages.get(arguments.get("ts", ""))
        if message is None or message.deleted or message.only_for is not None:
            raise ApiError("message_not_found")
        if message.user != workspace.bot_user_id:
            raise ApiError(not_own)
        return message

    def _update(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        message = self._own(workspace, channel, arguments, "cant_update_message")
        if message.is_streaming:
            raise ApiError("streaming_state_conflict")
        before = message.payload()
        self._fill(message, arguments)
        message.edits += 1
        self._announce_change(channel, before, message)
        return {"channel": channel.id, "ts": message.ts, "text": message.text}

    def _announce_change(self, channel: SlackChannel, before: Json, message: SlackMessage) -> None:
        event = {
            "subtype": "message_changed",
            "hidden": True,
            "message": message.payload(),
            "previous_message": before,
        }
        self._announce(channel, event)

    def _delete(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        message = self._own(workspace, channel, arguments, "cant_delete_message")
        message.deleted = True
        self._announce(
            channel,
            {"subtype": "message_deleted", "deleted_ts": message.ts, "previous_message": message.payload()},
        )
        return {"channel": channel.id, "ts": message.ts}

    # --- streams ------------------------------------------------------------------------------------

    def _start_stream(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        if not arguments.get("thread_ts") or "metadata" in arguments or "blocks" in arguments:
            raise ApiError("invalid_arguments")
        if channel.kind != "im":
            for name in ("recipient_team_id", "recipient_user_id"):
                if not arguments.get(name):
                    raise ApiError(f"missing_{name}")
        message = self._new_message(workspace, channel, arguments)
        message.streaming_since = time.monotonic()
        self._add_text(message, arguments.get("markdown_text") or "")
        self._keep(channel, message)
        return {"channel": channel.id, "ts": message.ts}

    def _add_text(self, message: SlackMessage, text: str) -> None:
        if len(message.streamed) + len(text) > limits.MARKDOWN_CHARACTERS:
            raise ApiError("msg_too_long")
        message.streamed += text
        message.seen.append(message.streamed)

    def _streaming(self, workspace: Workspace, arguments: Json) -> tuple[SlackChannel, SlackMessage]:
        channel = self._place(workspace, arguments)
        message = self._own(workspace, channel, arguments, "message_not_owned_by_app")
        since = message.streaming_since
        if since is not None and time.monotonic() - since > self.stream_seconds:
            message.streaming_since = since = None
        if since is None:
            raise ApiError("message_not_in_streaming_state")
        return channel, message

    def _append_stream(self, workspace: Workspace, arguments: Json) -> Json:
        channel, message = self._streaming(workspace, arguments)
        if not arguments.get("markdown_text"):
            raise ApiError("no_text")
        self._add_text(message, arguments["markdown_text"])
        return {"channel": channel.id, "ts": message.ts}

    def _stop_stream(self, workspace: Workspace, arguments: Json) -> Json:
        channel, message = self._streaming(workspace, arguments)
        blocks = limits.check_blocks(arguments.get("blocks"))
        metadata = limits.check_metadata(arguments.get("metadata"))
        before = message.payload()
        self._add_text(message, arguments.get("markdown_text") or "")
        message.blocks, message.metadata, message.streaming_since = blocks, metadata, None
        self._announce_change(channel, before, message)
        return {"channel": channel.id, "ts": message.ts, "message": message.payload()}

    # --- reading ------------------------------------------------------------------------------------

    def _replies(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments, posting=False)
        root = channel.messages.get(arguments.get("ts", ""))
        if root is None:
            raise ApiError("thread_not_found")
        thread = channel.thread(root.thread_ts or root.ts)
        chosen = [m for m in thread if m.ts == root.ts or _within(m.ts, arguments)]
        return self._page(chosen, arguments)

    def _history(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments, posting=False)
        chosen = [
            message
            for ts, message in sorted(channel.messages.items(), reverse=True)
            if message.thread_ts is None
            and not message.deleted
            and message.only_for is None
            and _within(ts, arguments)
        ]
        return self._page(chosen, arguments)

    def _page(self, chosen: list[SlackMessage], arguments: Json) -> Json:
        with_metadata = str(arguments.get("include_all_metadata", "false")).lower() in {"1", "true"}
        most = 999 if self.reading_limit is None else self.reading_limit.most_objects
        page, cursor = _slice(chosen, arguments, most)
        return {
            "messages": [self._with_thread(message, with_metadata=with_metadata) for message in page],
            "has_more": bool(cursor),
            "response_metadata": {"next_cursor": cursor},
        }

    def _with_thread(self, message: SlackMessage, *, with_metadata: bool) -> Json:
        """The first message of a thread says how the thread goes on."""
        payload = message.payload(with_metadata=with_metadata)
        replies = self.channels[message.channel].thread(message.ts)[1:]
        if message.thread_ts is None and replies:
            payload |= {
                "thread_ts": message.ts,
                "reply_count": len(replies),
                "latest_reply": replies[-1].ts,
            }
        return payload

    def _conversations(self, workspace: Workspace, arguments: Json) -> Json:
        kinds = str(arguments.get("types") or "public_channel").split(",")
        chosen = [
            channel
            for _, channel in sorted(self.channels.items())
            if channel.team_id == workspace.team_id
            and channel.has_bot
            and _TYPES[channel.kind] in kinds
            and not (channel.archived and arguments.get("exclude_archived") == "true")
        ]
        page, cursor = _slice(chosen, arguments, 999)
        channels = [self._describe(channel) for channel in page]
        return {"channels": channels, "response_metadata": {"next_cursor": cursor}}

    def _info(self, workspace: Workspace, arguments: Json) -> Json:
        return {"channel": self._describe(self._place(workspace, arguments, posting=False))}

    def _describe(self, channel: SlackChannel) -> Json:
        return {
            "id": channel.id,
            "name": channel.id.lower(),
            "is_channel": channel.kind == "channel",
            "is_group": channel.kind == "group",
            "is_im": channel.kind == "im",
            "is_mpim": channel.kind == "mpim",
            "is_private": channel.kind != "channel",
            "is_archived": channel.archived,
            "is_ext_shared": channel.shared,
            "is_member": channel.has_bot,
        }

    # --- the rest -----------------------------------------------------------------------------------

    def _open_view(self, workspace: Workspace, arguments: Json) -> Json:
        expires = self.triggers.pop(arguments.get("trigger_id", ""), None)
        if expires is None:
            raise ApiError("invalid_trigger_id")
        if time.monotonic() > expires:
            raise ApiError("expired_trigger_id")
        view = {**limits.check_view(arguments.get("view")), "id": f"V{uuid4().hex[:10].upper()}"}
        view |= {"team_id": workspace.team_id, "app_installed_team_id": workspace.team_id}
        self.views[view["id"]] = view
        return {"view": view}

    def _set_status(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        key = (channel.id, arguments.get("thread_ts", ""))
        if key[1] not in channel.messages:
            raise ApiError("invalid_thread_ts")
        self.statuses.setdefault(key, []).append(arguments["status"])
        return {}

    def _set_suggested_prompts(self, workspace: Workspace, arguments: Json) -> Json:
        channel = self._place(workspace, arguments)
        self.suggested_prompts[channel.id, arguments.get("thread_ts", "")] = arguments
        return {}


def parse_form(form: dict[str, Any]) -> Json:
    """A form as arguments: nested values come as JSON in it."""
    nested = ("blocks", "metadata", "view")
    return {
        name: json.loads(value) if name in nested and isinstance(value, str) else value
        for name, value in form.items()
    }


def _within(ts: str, arguments: Json) -> bool:
    inclusive = str(arguments.get("inclusive", "false")).lower() in {"1", "true"}
    oldest, latest = arguments.get("oldest"), arguments.get("latest")
    if oldest and (ts < oldest or (ts == oldest and not inclusive)):
        return False
    return not (latest and (ts > latest or (ts == latest and not inclusive)))


def _slice(chosen: list[T], arguments: Json, most: int) -> tuple[list[T], str]:
    """One page and the cursor of the next."""
    start, size = int(arguments.get("cursor") or 0), min(int(arguments.get("limit") or 100), most)
    return chosen[start : start + size], str(start + size) if start + size < len(chosen) else ""

"""The app manifest for Slack: exactly the scopes and events that the code uses."""

from __future__ import annotations

from bot.slack.settings import SlackSettings

METHOD_SCOPES: dict[str, tuple[str, ...]] = {
    "auth.test": (),
    "apps.connections.open": (),  # the app-level token's connections:write
    "oauth.v2.access": (),
    "views.open": (),
    "chat.postMessage": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "chat.update": ("chat:write",),
    "chat.delete": ("chat:write",),
    "chat.startStream": ("chat:write",),
    "chat.appendStream": ("chat:write",),
    "chat.stopStream": ("chat:write",),
    "assistant.threads.setStatus": ("chat:write",),
    "users.conversations": ("channels:read", "groups:read", "im:read", "mpim:read"),
    "conversations.info": ("channels:read", "groups:read"),
    "conversations.history": ("channels:history", "groups:history", "im:history", "mpim:history"),
    "conversations.replies": ("channels:history", "groups:history", "im:history", "mpim:history"),
}
"""Every Web API method that we call, and the bot scopes it needs."""

EVENT_SCOPES: dict[str, tuple[str, ...]] = {
    "app_mention": ("app_mentions:read",),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "tokens_revoked": (),
    "app_uninstalled": (),
}
"""Every event that we subscribe to, and the bot scopes it needs."""

BOT_SCOPES: tuple[str, ...] = tuple(
    sorted({scope for scopes in (*METHOD_SCOPES.values(), *EVENT_SCOPES.values()) for scope in scopes})
)

_ADDRESS = "https://your-host.example"


def build_manifest(settings: SlackSettings, base_url: str = _ADDRESS) -> dict[str, object]:
    """The manifest as Slack takes it. Socket Mode unless only a signing secret is set; `base_url` is where
    Slack reaches us over HTTP, without a slash at the end."""
    socket_mode = settings.mode == "socket" or settings.slack_signing_secret is None
    subscriptions: dict[str, object] = {"bot_events": sorted(EVENT_SCOPES)}
    interactivity: dict[str, object] = {"is_enabled": True}
    oauth: dict[str, object] = {"scopes": {"bot": list(BOT_SCOPES)}}
    if not socket_mode:
        subscriptions["request_url"] = interactivity["request_url"] = f"{base_url}/slack/events"
    if settings.installs:
        oauth["redirect_urls"] = [f"{base_url}/slack/oauth_redirect"]
    return {
        "display_information": {
            "name": "Threadlore",
            "description": "Answers from your team's own documents, with citations.",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Threadlore", "always_online": True},
        },
        "oauth_config": oauth,
        "settings": {
            "event_subscriptions": subscriptions,
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": False,
        },
    }

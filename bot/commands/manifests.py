"""`manifest slack` and `manifest discord`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.commands.running import run_command, write_json, write_line

if TYPE_CHECKING:
    from core.settings import CoreSettings


def print_slack() -> None:
    """JSON, as Slack's form for a new app takes it."""
    import json

    async def work(settings: CoreSettings) -> str:
        from bot.slack.manifest import build_manifest
        from bot.slack.settings import SlackSettings
        from core.settings import read_settings

        return json.dumps(build_manifest(read_settings(SlackSettings)), indent=2, ensure_ascii=False)

    write_line(run_command(work))


def print_discord(*, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> dict[str, Any]:
        from bot.discord.manifest import build_manifest
        from bot.discord.settings import DiscordSettings
        from core.settings import read_settings

        token = read_settings(DiscordSettings).discord_token
        return build_manifest(token.get_secret_value() if token else None)

    manifest = run_command(work)
    if as_json:
        write_json(manifest)
        return
    from bot.discord.manifest import render_manifest

    write_line(render_manifest(manifest))

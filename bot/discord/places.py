"""What the library knows of a channel → Place. Whatever it does not know counts as private."""

from __future__ import annotations

from collections.abc import Collection

import discord

from bot.discord.events import Place


def place_of(
    client: discord.Client,
    guild_id: str | None,
    channel_id: str,
    *,
    names: Collection[str] = (),
    with_role: bool = False,
) -> Place:
    """The channel of a payload. `names`: the roles and channels to name; `with_role`: find our own role."""
    guild = client.get_guild(int(guild_id)) if guild_id is not None else None
    if guild is None:
        return Place()
    role = guild.self_role if with_role else None
    return _place(
        guild,
        guild.get_channel_or_thread(int(channel_id)),
        {id_: name for id_ in names if (name := _name(guild, int(id_)))},
        None if role is None else str(role.id),
    )


def place_of_interaction(interaction: discord.Interaction) -> Place:
    """The channel that a command was given in or a button was clicked in."""
    if interaction.guild is None or isinstance(interaction.channel, discord.DMChannel | discord.GroupChannel):
        return Place()
    return _place(interaction.guild, interaction.channel, {}, None)


def may_read(client: discord.Client, guild_id: str, channel_id: str) -> bool:
    """Whether we may read back what was said in a channel. True where the library cannot tell."""
    guild = client.get_guild(int(guild_id))
    channel = guild.get_channel_or_thread(int(channel_id)) if guild is not None else None
    if guild is None or channel is None or guild.self_role is None:
        return True
    allowed = channel.permissions_for(guild.me)
    return allowed.view_channel and allowed.read_message_history


def _place(
    guild: discord.Guild,
    channel: discord.abc.GuildChannel | discord.Thread | None,
    names: dict[str, str],
    own_role: str | None,
) -> Place:
    if isinstance(channel, discord.Thread):
        return Place(
            private=channel.is_private() or not _all_can_see(guild, channel.parent),
            is_thread=True,
            is_confined=channel.is_private(),
            parent=str(channel.parent_id),
            own_role=own_role,
            names=names,
        )
    return Place(private=not _all_can_see(guild, channel), own_role=own_role, names=names)


def _all_can_see(guild: discord.Guild, channel: discord.abc.GuildChannel | None) -> bool:
    everyone = guild.get_role(guild.id)
    return channel is not None and everyone is not None and channel.permissions_for(everyone).view_channel


def _name(guild: discord.Guild, id_: int) -> str | None:
    found = guild.get_role(id_) or guild.get_channel_or_thread(id_)
    return found.name if found else None

"""`forget user`, `forget thread`, `forget workspace`: erase, and remove what we posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bot.commands.naming import parse_place, parse_thread
from bot.commands.running import confirm, run_command, tell, write_json, write_line

if TYPE_CHECKING:
    from bot.stores import Stores
    from core.knowledge.channel_messages import ChannelMessages
    from core.ports import Effect, Forgotten, TurnStore
    from core.settings import CoreSettings

Kind = Literal["user", "thread", "workspace"]


def forget(kind: Kind, place: str, *, yes: bool, as_json: bool) -> None:
    """Asks first, unless told not to; prints what was erased."""

    async def work(settings: CoreSettings) -> dict[str, int]:
        from bot.stores import open_stores

        platform = _platform_of(kind, place)
        if not yes:
            confirm(f"Erase the {kind} {place}, with all turns and feedback, for good?")
        async with open_stores(settings) as stores:
            messages = await _erase_said(stores.channel_messages, kind, place)
            forgotten = await _erase(stores.turns, kind, place)
            removed = await _remove_replies(stores, platform, forgotten.effects)
            uninstalled = kind == "workspace" and await _remove_installation(stores, place)
            await _remove_traces(stores)
        return {
            "turns": forgotten.turns,
            "feedback": forgotten.feedback,
            "events": forgotten.events,
            "replies_removed": removed,
            "replies_left": len(forgotten.effects) - removed,
            "installations": int(uninstalled),
            "messages": messages,
        }

    report = run_command(work)
    if as_json:
        write_json(report)
        return
    write_line(
        f"Erased {report['turns']} turns, {report['feedback']} ratings and {report['events']} events; "
        f"{report['replies_removed']} replies removed."
    )
    if report["messages"]:
        write_line(f"{report['messages']} messages are gone from the channels that are sources.")
    if report["installations"]:
        tell("The token of the workspace is gone too; the app itself is removed there, in its settings.")
    if report["replies_left"]:
        tell(
            f"{report['replies_left']} replies are still to be seen where they were posted: remove them there."
        )


def _platform_of(kind: Kind, place: str) -> str:
    if kind == "thread":
        return parse_thread(place).channel.platform
    return parse_place(place, "platform:workspace/user" if kind == "user" else "platform:workspace")[0]


async def _erase(turns: TurnStore, kind: Kind, place: str) -> Forgotten:
    if kind == "thread":
        return await turns.forget_thread(parse_thread(place))
    if kind == "user":
        platform, workspace, author = parse_place(place, "platform:workspace/user")
        return await turns.forget_author(platform, workspace, author)
    platform, workspace = parse_place(place, "platform:workspace")
    return await turns.forget_workspace(platform, workspace)


async def _erase_said(said: ChannelMessages, kind: Kind, place: str) -> int:
    """What was said in channels that are sources; those of a workspace go with their collections."""
    if kind == "thread":
        return await said.forget_thread(parse_thread(place))
    if kind == "user":
        return await said.forget_author(*parse_place(place, "platform:workspace/user"))
    return 0


async def _remove_installation(stores: Stores, place: str) -> bool:
    """After the replies: removing them needs the token."""
    return await stores.installations.remove(*parse_place(place, "platform:workspace"))


async def _remove_traces(stores: Stores) -> None:
    """What went to Langfuse is removed there; what cannot be now, a serving process removes later."""
    from bot.bootstrap import build_tracer
    from bot.trace_upkeep import TraceUpkeep

    tracer = build_tracer(stores.settings)
    try:
        upkeep = TraceUpkeep(stores.feedback, stores.turns, tracer)
        while await upkeep.erase_traces():
            pass
        if tracer.enabled and await stores.turns.traces_to_forget(1):
            tell(
                "traces are still to be removed from Langfuse: a running `threadlore serve` goes on with that."
            )
    finally:
        await tracer.aclose(5.0)


async def _remove_replies(stores: Stores, platform: str, effects: tuple[Effect, ...]) -> int:
    """What stood in channels goes too, as far as the platform lets us."""
    from bot.adapter import AdapterError, MessageGoneError
    from bot.console.adapter import ConsoleAdapter
    from bot.metrics import Metrics
    from bot.platforms import build_adapters

    adapters = {"console": ConsoleAdapter(), **build_adapters(stores, Metrics())[0]}
    adapter = adapters.get(platform)
    visible = [effect for effect in effects if effect.message_id is not None]
    if adapter is None or not adapter.capabilities.deletes or not visible:
        return 0
    removed = 0
    try:
        await adapter.open()
        for effect in visible:
            try:
                await adapter.delete(effect.channel, str(effect.message_id))
            except MessageGoneError:
                pass
            except AdapterError as error:
                tell(f"a reply in {effect.channel.id} was not removed: {type(error).__name__}")
                continue
            removed += 1
    except AdapterError as error:
        tell(f"{platform} cannot be reached: {type(error).__name__}")
    finally:
        await adapter.aclose()
    return removed

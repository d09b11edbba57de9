"""`inbox list`, `inbox show`, `inbox requeue`, `inbox drop`: what crashed its workers, in operators' hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bot.commands.running import CommandFailedError, run_command, write_json, write_line

if TYPE_CHECKING:
    from core.inbox import ParkedItem
    from core.settings import CoreSettings

REMEDY = "`threadlore inbox list` shows what is parked."


def list_items(*, as_json: bool) -> None:
    """One line an item, without what was said."""

    async def work(settings: CoreSettings) -> list[ParkedItem]:
        from bot.stores import open_stores

        async with open_stores(settings) as stores:
            return await stores.inbox.parked()

    items = run_command(work)
    if as_json:
        write_json([item.model_dump(mode="json", exclude={"text"}) for item in items])
        return
    for item in items:
        received = f"{item.received_at:%Y-%m-%d %H:%M}"
        write_line(f"{item.id}  {received}  {_place_of(item)}  {item.kind}  {item.reason}")
    if not items:
        write_line("Nothing is parked.")


def show_item(item_id: int, *, as_json: bool) -> None:
    """Everything that is known of one item."""

    async def work(settings: CoreSettings) -> ParkedItem:
        from bot.stores import open_stores

        async with open_stores(settings) as stores:
            for item in await stores.inbox.parked():
                if item.id == item_id:
                    return item
        raise CommandFailedError(f"{item_id} is not parked", remedy=REMEDY)

    item = run_command(work)
    if as_json:
        write_json(item.model_dump(mode="json"))
        return
    write_line(f"{item.kind} by {item.author or 'nobody known'} in {_place_of(item)}")
    write_line(f"Received {item.received_at:%Y-%m-%d %H:%M:%S %Z}, {item.attempts} attempts: {item.reason}")
    if item.text:
        write_line(item.text)


def end_parking(how: Literal["requeue", "drop"], ids: list[int], *, as_json: bool) -> None:
    """All of the items or, if one of them is not parked, none."""

    async def work(settings: CoreSettings) -> set[int]:
        from bot.stores import open_stores

        async with open_stores(settings) as stores:
            unknown = set(ids) - {item.id for item in await stores.inbox.parked()}
            if unknown:
                numbers = ", ".join(map(str, sorted(unknown)))
                raise CommandFailedError(f"not parked: {numbers}", remedy=REMEDY)
            return await (stores.inbox.requeue(ids) if how == "requeue" else stores.inbox.drop(ids))

    done = "requeued" if how == "requeue" else "dropped"
    items = sorted(run_command(work))
    if as_json:
        write_json({done: items})
    else:
        write_line(f"{done.capitalize()}: {', '.join(map(str, items))}")


def _place_of(item: ParkedItem) -> str:
    return f"{item.platform}:{item.workspace}/{item.channel}/{item.thread}"

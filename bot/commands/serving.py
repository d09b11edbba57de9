"""`serve`."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Literal, cast

from bot.commands.running import run_command

if TYPE_CHECKING:
    from core.settings import CoreSettings


# Most objects of a server stay: the modules at the start, the pools and caches after it. Looking for garbage
# among them every 700 objects, as Python does, takes an eighth of the start.
OBJECTS_BEFORE_COLLECTING = 50_000


def serve(role: str) -> None:
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING, 20, 20)

    async def work(settings: CoreSettings) -> None:
        from bot import server

        await server.serve(cast("Literal['all', 'ingress', 'worker']", role))

    run_command(work)

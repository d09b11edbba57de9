"""The first message of a reply while it is being written: shown as fast as the platform allows, and a
courtesy only. Whatever goes wrong here, the whole answer still goes out by bot/reply.py."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from bot.adapter import Adapter, AdapterError, Delivery, ReplyStream
from core.errors import StorageError
from core.inbox import Claim
from core.ports import Effect, Outbox

LONGEST_PLAN_SECONDS = 5.0
SECONDS_UNTIL_NOTED = 0.3


@dataclass(frozen=True)
class Patience:
    """How long to wait before something is shown that a quick answer makes needless, in seconds.

    `status`: a sign of life while somebody waits. `first_text`: the answer as it grows, counted from its
    first word; one that is whole by then is posted once and never streamed.
    """

    status: float = 0.3
    first_text: float = 0.15


USUAL_PATIENCE = Patience()


class EarlyText:
    """Streams one effect. `show` may be called at any rate: a task of its own passes the newest text on.

    `planned`: the effect stands in the outbox, so something may be visible. `failed`: the stream broke,
    and what it may have posted has to be looked for. `message_id`: what it is known to have posted.
    """

    def __init__(
        self,
        adapter: Adapter,
        outbox: Outbox,
        claim: Claim,
        effect: Effect,
        delivery: Delivery,
        on_error: Callable[[AdapterError], None],
        patience: Patience,
    ) -> None:
        self.planned = False
        self.failed = False
        self.message_id: str | None = None
        self._adapter = adapter
        self._outbox = outbox
        self._claim = claim
        self._effect = effect
        self._delivery = delivery
        self._on_error = on_error
        self._patience = patience
        self._text = ""
        self._new_text = asyncio.Event()
        self._begun = asyncio.Event()
        self._whole = asyncio.Event()
        self._passing_on: asyncio.Task[None] | None = None
        self._noting: asyncio.Task[None] | None = None
        self._stream: ReplyStream | None = None

    def show(self, text_so_far: str) -> None:
        """Show the answer as it stands."""
        self._text = text_so_far
        self._new_text.set()
        if self._passing_on is None:
            self._passing_on = asyncio.create_task(self._pass_on())

    async def stop(self) -> None:
        """Pass nothing more on. Raises what storing the effect raised."""
        if self._passing_on is None:
            return
        if not self.planned:  # not due yet: nothing has happened
            self._passing_on.cancel()
            await asyncio.gather(self._passing_on, return_exceptions=True)
            self._passing_on = None
            return
        # While the plan is being written we do not know yet whether there is a stream.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_PLAN_SECONDS):
                await self._begun.wait()
        self._passing_on.cancel()
        (result,) = await asyncio.gather(self._passing_on, return_exceptions=True)
        self._passing_on = None
        if isinstance(result, Exception):
            raise result

    def take_stream(self) -> ReplyStream | None:
        """The stream, if there is one that works, for its end to be written. Gives it once."""
        stream, self._stream = self._stream, None
        return stream

    @property
    def is_open(self) -> bool:
        """Whether there is a stream to end."""
        return self._stream is not None

    async def settle(self) -> None:
        """From here on the end of the reply is what is recorded."""
        self._whole.set()
        if self._noting is not None:
            await self._noting
            self._noting = None

    async def _pass_on(self) -> None:
        await asyncio.sleep(self._patience.first_text)
        self.planned = True
        try:
            await self._outbox.plan(self._claim, [self._effect])
            stream = self._adapter.open_stream(self._delivery, self._note_posted)
            self._stream = stream
            self._begun.set()
            while True:
                await self._new_text.wait()
                self._new_text.clear()
                await stream.write(self._text)
        except AdapterError as error:
            self._stream, self.failed = None, True
            self._on_error(error)
        finally:
            self._begun.set()

    async def _note_posted(self, message_id: str) -> None:
        self.message_id = message_id
        self._noting = asyncio.create_task(self._note_soon(message_id))

    async def _note_soon(self, message_id: str) -> None:
        """A reply that is whole within a moment is recorded once, with its end. Until then a crash is no
        worse than one just before the platform's answer: the message is looked for, and found."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_UNTIL_NOTED):
                await self._whole.wait()
                return
        with contextlib.suppress(StorageError):  # whoever writes next learns of it too
            await self._outbox.set_state(self._claim, self._effect.id, "sending", message_id)

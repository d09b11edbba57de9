"""One shard of the gateway: stand by until its lease is ours, listen while it is, and let go when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import discord
import structlog
from pydantic import SecretStr

from bot.adapter import AdapterError, UnauthorizedError
from bot.discord.catching_up import CatchingUp
from bot.discord.errors import speaking_adapter_errors
from bot.discord.gateway import DiscordClient
from bot.discord.hearing import Hearing
from bot.discord.identifying import IdentifyGate, IdentifyRefusedError
from bot.discord.receiving import EventReceiver
from bot.leasing import LeaseKeeper
from core.errors import SettingsError, StorageError

FIRST_RETRY_SECONDS = 1.0
SLOWEST_RETRY_SECONDS = 8.0
CLOSE_SECONDS = 5.0
DRAIN_SECONDS = 5.0

State = Literal["starting", "standby", "connecting", "receiving", "refused", "stopped"]

log = structlog.get_logger(__name__)


class LeaseLostHereError(Exception):
    """Another process owns the shard now; no session may begin here."""


class Shard:
    """Competes for the shard, and listens with a new client each time that it is the owner.

    `build_client` makes a client that asks this shard for admission, and hands on what arrives. `state` and
    `reason` are for readiness; `settled` is set once it is clear how the first try ended.
    """

    def __init__(
        self,
        keeper: LeaseKeeper,
        receiver: EventReceiver,
        hearing: Hearing,
        catching_up: CatchingUp,
        gate: IdentifyGate,
        build_client: Callable[[Shard], DiscordClient],
        token: SecretStr,
    ) -> None:
        self._keeper = keeper
        self._receiver = receiver
        self._hearing = hearing
        self._catching_up = catching_up
        self._gate = gate
        self._build_client = build_client
        self._token = token
        self._client: DiscordClient | None = None
        self._was_ready = False
        self.state: State = "starting"
        self.reason = ""
        self.error: SettingsError | None = None
        self.settled = asyncio.Event()
        self._stopping = asyncio.Event()

    def is_receiving(self, longest_silence_seconds: float) -> bool:
        """Whether the shard's events reach us, or the process that owns it, as far as we can know."""
        if self.state == "standby":
            return self._keeper.is_held_elsewhere
        return (
            self.state == "receiving"
            and self._client is not None
            and self._client.is_ready()
            and self._receiver.is_alive(longest_silence_seconds)
        )

    async def run(self) -> None:
        """Goes on until cancelled, or until Discord refuses for good. Then stores what it holds, and lets go."""
        try:
            while self.error is None:
                if await self._become_owner():
                    await self._listen_while_owner()
        finally:
            await self._receiver.drain(DRAIN_SECONDS)
            if self._keeper.is_owner:
                await self._hearing.note(self._still_owner)
            await self._keeper.release()

    # --- ownership --------------------------------------------------------------------------------

    async def _become_owner(self) -> bool:
        """False: told to stop before that."""
        acquiring = asyncio.create_task(self._keeper.acquire(lambda: self._be("standby")))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            acquiring.cancel()
            stopping.cancel()
            await asyncio.gather(acquiring, stopping, return_exceptions=True)
        return self._keeper.is_owner

    async def _listen_while_owner(self) -> None:
        """Until the lease is lost. What was heard is written down with every heartbeat, as long as it holds."""
        listening = asyncio.create_task(self._listen())
        keeping = asyncio.create_task(self._keeper.keep())
        noting = asyncio.create_task(self._hearing.keep_noting(self._still_owner))
        stopping = asyncio.create_task(self._stopping.wait())
        tasks = (listening, keeping, noting, stopping)
        try:
            await asyncio.wait({listening, keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("discord_shard_failed", shard=self._keeper.name, exc_info=ended)
            await self._catching_up.aclose()
        if not self._keeper.is_owner:
            log.warning("discord_shard_lost", shard=self._keeper.name)
            self._be("standby")

    async def _still_owner(self) -> bool:
        return self._keeper.is_owner and await self._keeper.renew()

    # --- the connection ---------------------------------------------------------------------------

    async def _listen(self) -> None:
        wait = FIRST_RETRY_SECONDS
        while self.error is None:
            self._be("connecting")
            try:
                await self._hearing.load()
                await self._connect_once()
            except (discord.ConnectionClosed, discord.PrivilegedIntentsRequired, UnauthorizedError) as error:
                if (fatal := _fatal(error)) is not None:
                    self.stop_for_good(fatal)
                    return
                self._note_failure(error)
            except IdentifyRefusedError as refused:
                self._be("refused", f"Discord: {refused}")
                await asyncio.sleep(refused.wait_seconds)
                continue
            except LeaseLostHereError:
                return
            except Exception as error:
                self._note_failure(error)
            if self._was_ready:
                wait, self._was_ready = FIRST_RETRY_SECONDS, False
            if wait > SLOWEST_RETRY_SECONDS:
                # Perhaps Discord can be reached from where another process runs.
                await self._keeper.release()
            await asyncio.sleep(wait)
            if not self._keeper.is_owner:
                return
            wait *= 2

    async def _connect_once(self) -> None:
        """One client, from its login to the end of its connection. The library resumes by itself."""
        client = self._client = self._build_client(self)
        self._receiver.attach(client)
        try:
            with speaking_adapter_errors():
                await client.login(self._token.get_secret_value())
            await client.connect()
        finally:
            await _close(client)

    def stop_for_good(self, error: SettingsError) -> None:
        """Discord refuses what only people can mend: close the gateway, and never try again."""
        if self.error is None:
            self.error = error
            log.error("discord_stopped_for_good", shard=self._keeper.name, reason=str(error))
            self._be("stopped", str(error))
            self._stopping.set()

    async def admit(self) -> None:
        """Asked by the client before it begins a session. Raises to refuse."""
        if not await self._still_owner():
            raise LeaseLostHereError
        await self._gate.admit()

    def note_ready(self) -> None:
        """The client has begun a session and knows its servers."""
        self._was_ready = True
        self._catching_up.note_ready()
        self._be("receiving")

    def _note_failure(self, error: Exception) -> None:
        known = isinstance(error, AdapterError | StorageError | OSError | discord.DiscordException)
        log.warning(
            "discord_gateway_ended",
            shard=self._keeper.name,
            error=type(error).__name__,
            code=getattr(error, "code", None),
            exc_info=None if known else error,
        )
        self._be("connecting", "The gateway of Discord cannot be reached right now; trying again.")
        self.settled.set()

    def _be(self, state: State, reason: str = "") -> None:
        if self.state == "stopped":
            return
        self.state, self.reason = state, reason
        if state in ("standby", "receiving", "refused", "stopped"):
            self.settled.set()


async def _close(client: DiscordClient) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()
    except Exception as error:
        log.info("discord_client_not_closed", error=type(error).__name__)


def token_refused() -> SettingsError:
    return SettingsError(
        "DISCORD_TOKEN",
        "Discord refuses this token.",
        "Reset it on the Bot page of your application at https://discord.com/developers and copy it anew.",
    )


def _fatal(error: Exception) -> SettingsError | None:
    """What nobody can mend by trying again, by Discord's close codes; None for what may pass."""
    code = 4014 if isinstance(error, discord.PrivilegedIntentsRequired) else getattr(error, "code", None)
    if isinstance(error, UnauthorizedError) or code == 4004:
        return token_refused()
    if code == 4014:
        return SettingsError(
            "DISCORD_TOKEN",
            "this application may not read messages (gateway close code 4014).",
            'Switch on "Message Content Intent" on the Bot page of your application at'
            " https://discord.com/developers.",
        )
    problems = {
        4010: "refuses the number of this shard",
        4011: "asks for more shards than it recommended",
        4012: "no longer speaks this version of the gateway",
        4013: "refuses the intents of this version of Threadlore",
    }
    if code not in problems:
        return None
    return SettingsError(
        "DISCORD_TOKEN",
        f"Discord {problems[code]} (gateway close code {code}).",
        "Install the newest version of Threadlore, and restart it.",
    )

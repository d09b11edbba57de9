"""The outbox without a database: the same promises, within one process."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from core.errors import StorageError
from core.inbox import Claim
from core.messages import Channel, Thread
from core.ports import Effect, EffectState
from core.testing.inbox import InMemoryInbox


class InMemoryOutbox:
    """Implements core.ports.Outbox; the inbox says which claims hold. `effects` may be looked at by tests."""

    def __init__(self, inbox: InMemoryInbox) -> None:
        self.effects: dict[UUID, Effect] = {}
        self._inbox = inbox

    async def plan(self, claim: Claim, effects: Sequence[Effect]) -> list[Effect]:
        if not effects:
            return []
        self._inbox.require_held(claim)
        for effect in effects:
            stored = self.effects.get(effect.id)
            if stored is None:
                self.effects[effect.id] = effect
            elif stored.state not in ("sent", "removed"):
                self.effects[effect.id] = stored.model_copy(update={"body": effect.body})
        return [self.effects[effect.id] for effect in effects]

    async def set_state(
        self,
        claim: Claim,
        effect_id: UUID,
        state: EffectState,
        message_id: str | None = None,
        *,
        body: dict[str, object] | None = None,
    ) -> None:
        self._inbox.require_held(claim)
        stored = self.effects.get(effect_id)
        if stored is None:
            raise StorageError(f"there is no effect {effect_id}")
        self.effects[effect_id] = stored.model_copy(
            update={
                "state": state,
                "message_id": stored.message_id or message_id,
                "body": stored.body if body is None else body,
            }
        )

    async def of_turn(self, turn_id: UUID) -> list[Effect]:
        effects = [effect for effect in self.effects.values() if effect.turn_id == turn_id]
        return sorted(effects, key=lambda effect: (effect.purpose, effect.part))

    async def message_ids(self, thread: Thread) -> set[str]:
        return {
            effect.message_id
            for effect in self.effects.values()
            if effect.message_id is not None
            and Thread(channel=effect.channel, id=effect.thread_id).key == thread.key
        }

    async def turn_of_message(self, channel: Channel, message_id: str) -> UUID | None:
        for effect in self.effects.values():
            if (
                effect.message_id == message_id
                and effect.purpose == "answer"
                and effect.state != "removed"
                and _names_same(effect.channel, channel)
            ):
                return effect.turn_id
        return None

    def forget_turn(self, turn_id: UUID) -> list[Effect]:
        """Empty the bodies of a turn's effects; returns those that are or may be visible, as they were."""
        effects = [effect for effect in self.effects.values() if effect.turn_id == turn_id]
        for effect in effects:
            self.effects[effect.id] = effect.model_copy(update={"body": None})
        return [effect for effect in effects if effect.state in ("sending", "ambiguous", "sent")]


def _names_same(one: Channel, other: Channel) -> bool:
    return (one.platform, one.workspace, one.id) == (other.platform, other.workspace, other.id)

"""What the people of the two mailbox platforms have in common: most of what the contract asks of people
cannot be done there, and is skipped with its reason."""

from __future__ import annotations

from typing import ClassVar, Literal, NoReturn

import pytest

from tests.contracts.adapter_harness import Shown
from tests.platforms.mailbox_posts import ReadableMailbox


class MailboxPeople:
    """`where` completes "people ... cannot"."""

    where: ClassVar[str]
    mailbox: ReadableMailbox

    async def chat(self, author: str, text: str) -> str:
        self._cannot("say what is not for the bot")

    async def edit(self, message_id: str, text: str) -> None:
        self._cannot("edit")

    async def delete(self, message_id: str) -> None:
        self._cannot("delete")

    async def react(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None:
        self._cannot("react with emoji")

    async def unreact(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None:
        self._cannot("react with emoji")

    def lose_next_reply(self) -> None:
        self._cannot("lose a message that never leaves the process")

    def forbid_posting(self) -> None:
        self._cannot("forbid the bot to answer")

    def refuse_token(self) -> None:
        self._cannot("refuse the bot's token: there is none")

    @property
    def limit(self) -> int:
        self._cannot("be told that an answer is too long for one message")

    def _cannot(self, what: str) -> NoReturn:
        pytest.skip(f"people {self.where} cannot {what}")

    # --- what they see ----------------------------------------------------------------------------

    def author_id(self, name: str) -> str:
        return name

    def shown(self) -> list[Shown]:
        return self.mailbox.shown()

    def notified(self) -> list[str]:
        return []

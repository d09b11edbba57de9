"""What the web's and the console's messages look like to whoever reads them, for the adapter contract."""

from __future__ import annotations

from bot.adapter import Rendered
from bot.mailbox import BODIES, AnswerBody, Mailbox
from tests.contracts.adapter_harness import Shown


class ReadableMailbox(Mailbox):
    """Remembers what was posted, as a reader's screen does."""

    def __init__(self) -> None:
        super().__init__()
        self.screen: dict[str, Rendered] = {}

    def note_post(self, message_id: str, rendered: Rendered) -> None:
        super().note_post(message_id, rendered)
        self.screen[message_id] = rendered

    def note_removal(self, message_id: str) -> None:
        super().note_removal(message_id)
        self.screen.pop(message_id, None)

    def shown(self) -> list[Shown]:
        return [Shown(id=id_, text=text_of(rendered)) for id_, rendered in self.screen.items()]


def text_of(rendered: Rendered) -> str:
    body = BODIES.validate_python(rendered.body)
    if not isinstance(body, AnswerBody):
        return body.text
    sources = [f"[{c.n}] {c.title}: {c.uri}" for c in body.answer.citations]
    return "\n".join([body.answer.text, *sources])

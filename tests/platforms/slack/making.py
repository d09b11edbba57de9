"""Questions, answers and deliveries as these tests need them."""

from __future__ import annotations

from uuid import UUID, uuid4

from bot.adapter import Delivery, Rendered, ReplyTarget
from bot.slack.payloads import time_of
from bot.testing.slack import SlackServer
from core.answers import Answer, Citation
from core.messages import Author, Channel, Message, Thread

TURN = UUID("11111111-2222-3333-4444-555555555555")
EMPTY = Rendered(body={})


async def make_question(slack: SlackServer, channel: str = "C1", user: str = "U1") -> Message:
    """A question that stands in Slack."""
    text = f"<@{slack.workspace.bot_user_id}> How?"
    ts = await slack.post_message(user, channel, text)
    place = Channel(platform="slack", workspace=slack.workspace.team_id, id=channel)
    thread = Thread(channel=place, id=ts)
    return Message(id=ts, thread=thread, author=Author(id=user), text="How?", at=time_of(ts))


def make_delivery(
    question: Message, rendered: Rendered = EMPTY, *, part: int = 0, only_author_sees: bool = False
) -> Delivery:
    return Delivery(
        effect_id=uuid4(),
        turn_id=TURN,
        part=part,
        target=ReplyTarget(
            thread=question.thread,
            question_message_id=question.id,
            asker=question.author,
            reply_handle=question.thread.channel.workspace,
            only_author_sees=only_author_sees,
        ),
        rendered=rendered,
    )


def make_answer(text: str, *uris: str) -> Answer:
    """An answer that cites these addresses as [1], [2], ..."""
    return Answer(
        text=text,
        citations=tuple(
            Citation(n=n, chunk_id=n, document_id=n, title=f"Title {n}", uri=uri, quote="q")
            for n, uri in enumerate(uris, start=1)
        ),
    )


class Posted:
    """An OnPosted that remembers."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def __call__(self, message_id: str) -> None:
        self.ids.append(message_id)

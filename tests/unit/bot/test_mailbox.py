"""What is said in this process reaches whoever asked, and nobody is made to wait for a slow reader."""

from __future__ import annotations

import gc
from uuid import uuid4

import pytest

from bot.adapter import Delivery, Rendered, ReplyTarget, UnavailableError
from bot.mailbox import Mailbox, MailboxAdapter, Posted, StatusShown, TextWritten
from core.answers import Answer
from core.testing.making import make_author, make_posted, make_thread


def make_delivery(question: str = "q1", rendered: Rendered | None = None) -> Delivery:
    target = ReplyTarget(thread=make_thread(), question_message_id=question, asker=make_author())
    return Delivery(
        effect_id=uuid4(), turn_id=uuid4(), part=0, target=target, rendered=rendered or Rendered(body={})
    )


async def note(message_id: str) -> None:
    return


async def test_an_asker_hears_what_is_said_about_their_question_and_no_other() -> None:
    mailbox = Mailbox()
    mine, other = mailbox.subscribe("q1"), mailbox.subscribe("q2")
    mailbox.publish("q1", StatusShown(text="looking"))
    assert await mine.take(1) == [StatusShown(text="looking")]
    assert await other.take(0.01) == []


async def test_a_slow_reader_gets_the_newest_of_each_kind_in_order() -> None:
    mailbox = Mailbox()
    box = mailbox.subscribe("q1")
    for event in (
        StatusShown(text="one"),
        TextWritten(text_so_far="a"),
        TextWritten(text_so_far="ab"),
        TextWritten(text_so_far="abc"),
    ):
        mailbox.publish("q1", event)
    assert await box.take(1) == [StatusShown(text="one"), TextWritten(text_so_far="abc")]
    assert await box.take(0.01) == []


async def test_who_has_left_is_forgotten() -> None:
    mailbox = Mailbox()
    box = mailbox.subscribe("q1")
    del box
    gc.collect()
    mailbox.publish("q1", StatusShown(text="nobody hears this"))
    assert await mailbox.subscribe("q1").take(0.01) == []


async def test_an_answer_reaches_its_asker_when_it_is_posted() -> None:
    adapter = MailboxAdapter()
    box = adapter.mailbox.subscribe("q1")
    (rendered,) = adapter.render_answer(Answer(text="So."), uuid4())
    await adapter.post(make_delivery(rendered=rendered))
    (posted,) = await box.take(1)
    assert isinstance(posted, Posted)
    assert posted.body.kind == "answer"


async def test_text_that_grows_shows_no_link_because_no_source_is_known_yet() -> None:
    adapter = MailboxAdapter()
    box = adapter.mailbox.subscribe("q1")
    stream = adapter.open_stream(make_delivery(), note)
    await stream.write("See [it](https://evil.example/?q=secret)")
    (written,) = await box.take(1)
    assert isinstance(written, TextWritten)
    assert "https://" not in written.text_so_far


async def test_what_people_cannot_see_is_not_sent() -> None:
    adapter = MailboxAdapter()
    assert adapter.render_notice("a\u200bb\u202ec").body["text"] == "abc"


async def test_the_id_of_a_message_is_the_id_of_its_effect_so_that_a_repeat_changes_nothing() -> None:
    adapter = MailboxAdapter()
    delivery = make_delivery(rendered=adapter.render_notice("Once."))
    assert await adapter.find_posted(delivery) is None
    first, second = await adapter.post(delivery), await adapter.post(delivery)
    assert first == second == str(delivery.effect_id) == await adapter.find_posted(delivery)


async def test_a_process_that_only_sends_takes_no_questions() -> None:
    with pytest.raises(UnavailableError):
        await MailboxAdapter().receive(make_posted())

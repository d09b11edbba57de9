"""A worker whose lease has run out by its own clock says nothing to a platform."""

from __future__ import annotations

import pytest

from bot.adapter import Delivery, Rendered, ReplyTarget
from bot.lease_guard import ItemLease, LeasedAdapter, lease_clock
from bot.testing.adapter import InMemoryAdapter
from core.answers import turn_id_for
from core.errors import LeaseLostError
from core.testing.making import make_effect
from tests.unit.bot.ground import ask_message


def make_delivery() -> Delivery:
    message = ask_message()
    return Delivery(
        effect_id=make_effect(message).id,
        turn_id=turn_id_for(message),
        part=0,
        target=ReplyTarget(thread=message.thread, question_message_id=message.id, asker=message.author),
        rendered=Rendered(body={"text": "At the front desk."}),
    )


async def forget_id(message_id: str) -> None:
    """Nobody asks for it."""


async def test_nothing_is_posted_once_the_lease_has_run_out() -> None:
    adapter = InMemoryAdapter()
    in_time, late = (LeasedAdapter(adapter, ItemLease(lease_clock() + seconds)) for seconds in (60, -1))
    delivery = make_delivery()
    message_id = await in_time.post(delivery)
    stream = late.open_stream(delivery, forget_id)
    await late.show_status(delivery.target, "is looking it up")
    for call in (
        late.post(delivery),
        late.edit(delivery, message_id),
        stream.write("late"),
        stream.close(delivery.rendered),
    ):
        with pytest.raises(LeaseLostError):
            await call
    assert adapter.calls == ["post"]


async def test_a_lease_that_was_prolonged_lets_pass_what_its_first_term_would_not() -> None:
    adapter, lease = InMemoryAdapter(), ItemLease(lease_clock() - 1)
    lease.extend(lease_clock() + 60)
    lease.extend(lease_clock() - 60)
    await LeasedAdapter(adapter, lease).post(make_delivery())
    assert adapter.calls == ["post"]

"""One question through the real graph, with a model, a search and a memory of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from core import notices
from core.answers import Passage, Turn
from core.assistant import Assistant, Question
from core.errors import ModelPermanentError, ModelTransientError, StorageUnavailableError
from core.graph.build import build_graph
from core.memory import ThreadMemory
from core.messages import Audience, Author, Channel, Message, Thread
from core.ports import NO_ANSWER, ChatModel, ModelRequest, Recollection
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.models import Act, FakeChatModel
from core.testing.outbox import InMemoryOutbox
from core.testing.turns import InMemoryTurnStore

THREAD = Thread(channel=Channel(platform="memory", workspace="W", id="C"), id="T")
BACKUPS = Passage(
    chunk_id=7,
    document_id=3,
    title="Backups",
    uri="https://docs.example.org/backups",
    text="Backups are kept for 30 days in the second region.",
    rank=1,
    score=0.9,
)
ANSWER = "Backups are kept for 30 days [1]."


def make_question(text: str = "How long are backups kept?") -> Question:
    return Question(
        turn_id=uuid4(),
        message_id="M1",
        thread=THREAD,
        author=Author(id="U1", name="Ada"),
        text=text,
        asked_at=datetime.now(UTC),
    )


class ScriptedSearch:
    """Finds the same for every query, and remembers what it was asked."""

    def __init__(self, *passages: Passage, failures: int = 0) -> None:
        self.passages = list(passages)
        self.failures = failures
        self.queries: list[str] = []
        self.audiences: list[Audience] = []
        self.contexts: list[str] = []

    async def __call__(self, query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        self.queries.append(query)
        self.audiences.append(audience)
        self.contexts.append(context)
        if self.failures:
            self.failures -= 1
            raise StorageUnavailableError("gone for a moment")
        return self.passages


def make_turn_store() -> InMemoryTurnStore:
    inbox = InMemoryInbox()
    return InMemoryTurnStore(inbox, InMemoryOutbox(inbox), InMemoryFeedbackStore())


def make_assistant(
    models: Sequence[ChatModel],
    search: ScriptedSearch | None = None,
    turns: InMemoryTurnStore | None = None,
    timeout_seconds: float = 5.0,
) -> Assistant:
    return Assistant(
        build_graph(),
        models,
        search or ScriptedSearch(BACKUPS),
        ThreadMemory(turns or make_turn_store(), models[0], budget_tokens=2000),
        turn_timeout_seconds=timeout_seconds,
        max_question_characters=12_000,
    )


async def ask(assistant: Assistant, question: Question | None = None) -> tuple[Turn, list[str]]:
    shown: list[str] = []
    turn = await assistant.answer(question or make_question(), shown.append)
    return turn, shown


async def test_a_question_becomes_a_cited_answer_that_records_how_it_came_about() -> None:
    turn, shown = await ask(make_assistant([FakeChatModel(ANSWER)]))
    assert turn.outcome == "answered"
    assert turn.answer.text == ANSWER
    assert [(c.n, c.chunk_id, c.uri) for c in turn.answer.citations] == [(1, 7, BACKUPS.uri)]
    assert shown[-1] == ANSWER
    assert [span.name for span in turn.spans] == ["remember", "search", "model:answer", "check"]
    assert turn.model == "fake:model"
    assert turn.prompts[0].startswith("answer@1-")
    assert turn.use.output_tokens > 0
    assert turn.trace_id == turn.id.hex


async def test_search_is_limited_to_the_audience_of_the_reply() -> None:
    search = ScriptedSearch(BACKUPS)
    await ask(make_assistant([FakeChatModel(ANSWER)], search))
    assert search.audiences == [Audience(platform="memory", workspace="W", channel="C")]


async def test_no_passage_means_an_abstention_without_a_model_call() -> None:
    model = FakeChatModel()
    turn, _ = await ask(make_assistant([model], ScriptedSearch()))
    assert (turn.outcome, turn.answer.reason) == ("abstained", "no_passages")
    assert model.requests == []


@pytest.mark.parametrize("outsiders", [True, False])
async def test_where_outsiders_read_an_abstention_says_what_was_not_looked_at(outsiders: bool) -> None:
    channel = THREAD.channel.model_copy(update={"outsiders": outsiders})
    question = make_question().model_copy(update={"thread": THREAD.model_copy(update={"channel": channel})})
    turn, _ = await ask(make_assistant([FakeChatModel()], ScriptedSearch()), question)
    assert ("from outside" in turn.answer.text) == outsiders


async def test_a_model_that_finds_no_answer_abstains_and_says_what_was_looked_at() -> None:
    turn, shown = await ask(make_assistant([FakeChatModel(NO_ANSWER)]))
    assert (turn.outcome, turn.answer.reason) == ("abstained", "not_in_documents")
    assert "[Backups](https://docs.example.org/backups)" in turn.answer.text
    assert shown == [], "the word for 'no answer' must never be seen"


async def test_an_answer_without_support_abstains() -> None:
    turn, _ = await ask(make_assistant([FakeChatModel("The moon is made of green cheese.")]))
    assert (turn.outcome, turn.answer.reason) == ("abstained", "unsupported")


async def test_a_follow_up_is_rewritten_with_the_memory_of_its_thread() -> None:
    def reply(request: ModelRequest) -> str:
        return "How long are backups kept in the second region?" if request.task == "rewrite" else ANSWER

    turns, search = make_turn_store(), ScriptedSearch(BACKUPS)
    assistant = make_assistant([FakeChatModel(reply=reply)], search, turns)
    earlier = Message(
        id="M0",
        thread=THREAD,
        author=Author(id="U2", name="Bo"),
        text="We talk about backups.",
        at=datetime.now(UTC),
    )
    question = make_question("And how long?").model_copy(update={"earlier": (earlier,)})
    turn, _ = await ask(assistant, question)
    assert search.queries == ["How long are backups kept in the second region?"]
    assert search.contexts == ["talk"], "the words of the thread that the question has not, for the search"
    assert turn.query == search.queries[0]
    assert turn.question == "And how long?"


async def test_a_rewrite_that_fails_leaves_the_question_as_it_was() -> None:
    model = FakeChatModel(Act(error=ModelTransientError("busy")), ANSWER)
    earlier = Message(id="M0", thread=THREAD, author=Author(id="U2"), text="Backups?", at=datetime.now(UTC))
    turn, _ = await ask(make_assistant([model]), make_question().model_copy(update={"earlier": (earlier,)}))
    assert turn.outcome == "answered"
    assert turn.query == turn.question


@pytest.mark.parametrize(
    "act",
    [
        Act(error=ModelTransientError("overloaded")),
        Act(text=ANSWER, error=ModelTransientError("cut"), error_after_pieces=1),
        Act(text=ANSWER, behaviour="cut"),
        Act(behaviour="empty"),
    ],
    ids=["refused at once", "broken in the middle", "ended without a finish", "nothing said"],
)
async def test_a_passing_fault_is_tried_again_with_the_same_model(act: Act) -> None:
    model, spare = FakeChatModel(act, ANSWER, name="fake:first"), FakeChatModel(name="fake:spare")
    turn, _ = await ask(make_assistant([model, spare]))
    assert (turn.outcome, turn.model, turn.answer.text) == ("answered", "fake:first", ANSWER)
    assert spare.requests == []


async def test_after_three_attempts_the_next_model_writes_the_whole_answer() -> None:
    first = FakeChatModel(*[Act(text="Backups are", behaviour="cut")] * 9, name="fake:first")
    spare = FakeChatModel(ANSWER, name="fake:spare")
    turn, _ = await ask(make_assistant([first, spare]))
    assert (turn.outcome, turn.model, turn.answer.text) == ("answered", "fake:spare", ANSWER)
    assert len(first.requests) == 3
    assert len(spare.requests) == 1


async def test_a_permanent_error_goes_to_the_next_model_at_once() -> None:
    first = FakeChatModel(Act(error=ModelPermanentError("wrong key")), name="fake:first")
    turn, _ = await ask(make_assistant([first, FakeChatModel(ANSWER, name="fake:spare")]))
    assert turn.model == "fake:spare"
    assert len(first.requests) == 1


async def test_a_provider_that_asks_for_more_patience_than_there_is_is_passed_over() -> None:
    first = FakeChatModel(
        Act(error=ModelTransientError("later", retry_after_seconds=3600)), name="fake:first"
    )
    turn, _ = await ask(make_assistant([first, FakeChatModel(ANSWER, name="fake:spare")]))
    assert turn.model == "fake:spare"


async def test_when_every_model_fails_the_asker_gets_a_plain_notice() -> None:
    broken = FakeChatModel(*[Act(error=ModelPermanentError("secret detail"))] * 9)
    turn, _ = await ask(make_assistant([broken]))
    assert (turn.outcome, turn.answer.text) == ("failed", notices.MODEL_FAILED)
    assert "secret detail" not in turn.answer.text


@pytest.mark.parametrize("behaviour", ["hang", "stall"])
async def test_a_model_that_says_nothing_more_ends_at_the_deadline(behaviour: str) -> None:
    model = FakeChatModel(Act(text=ANSWER, behaviour=behaviour))  # type: ignore[arg-type]
    began = asyncio.get_running_loop().time()
    turn, _ = await ask(make_assistant([model], timeout_seconds=0.5))
    assert (turn.outcome, turn.answer.text) == ("failed", notices.TIMED_OUT)
    assert asyncio.get_running_loop().time() - began < 2.5


async def test_a_database_that_is_gone_for_a_moment_is_asked_again() -> None:
    turn, _ = await ask(make_assistant([FakeChatModel(ANSWER)], ScriptedSearch(BACKUPS, failures=2)))
    assert turn.outcome == "answered"


class ForgetfulTurnStore(InMemoryTurnStore):
    """Cannot be reached at the first two attempts to read what a thread remembers."""

    recalls = 0

    async def recall(self, thread: Thread, *, limit: int) -> Recollection:
        self.recalls += 1
        if self.recalls <= 2:
            raise StorageUnavailableError("gone for a moment")
        return await super().recall(thread, limit=limit)


async def test_a_memory_that_is_gone_for_a_moment_is_asked_again() -> None:
    inbox = InMemoryInbox()
    turns = ForgetfulTurnStore(inbox, InMemoryOutbox(inbox), InMemoryFeedbackStore())
    turn, _ = await ask(make_assistant([FakeChatModel(ANSWER)], ScriptedSearch(BACKUPS), turns))
    assert (turn.outcome, turns.recalls) == ("answered", 3)


@pytest.mark.parametrize("text", ["", "   \n"])
async def test_nothing_asked_gets_a_friendly_notice(text: str) -> None:
    turn, _ = await ask(make_assistant([FakeChatModel()]), make_question(text))
    assert (turn.outcome, turn.answer.text) == ("refused", notices.NOTHING_ASKED)


async def test_a_question_of_forty_thousand_characters_is_refused_without_a_model_call() -> None:
    model = FakeChatModel()
    turn, _ = await ask(make_assistant([model]), make_question("why " * 10_000))
    assert (turn.outcome, turn.answer.text) == ("refused", notices.too_long(12_000))
    assert model.requests == []

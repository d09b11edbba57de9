"""Evidence on cases from the product; the public question sets are measured elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.knowledge.evidence import ENOUGH_EVIDENCE, evidence
from core.messages import Passage

SLACK = "To connect Threadlore to Slack:\n\n1. Run `threadlore manifest slack`.\n2. Install the app.\n3. Copy both tokens."
LEASE = (
    "A worker claims the oldest event of a thread. The lease lasts 30 seconds and is renewed by a heartbeat."
)


def make_passage(text: str, title: str = "Guide", similarity: float | None = None, rank: int = 1) -> Passage:
    return Passage(
        chunk_id=rank,
        document_id=rank,
        title=title,
        uri="guide.md",
        heading_path=(title,),
        text=text,
        rank=rank,
        score=1 / rank,
        similarity=similarity,
    )


@pytest.mark.parametrize(
    ("question", "similarity"),
    [
        ("How do I connect Threadlore to Slack?", 0.75),
        ("how to connect to slack", 0.6),
        ("What does the lease of a worker last?", 0.45),
        ("How long does the lease last?", 0.4),
    ],
)
def test_passages_that_say_it_are_enough(question: str, similarity: float) -> None:
    passages = [make_passage(SLACK, "Slack", similarity), make_passage(LEASE, "Inbox", similarity - 0.05, 2)]
    assert evidence(question, passages) >= ENOUGH_EVIDENCE


@pytest.mark.parametrize(
    ("question", "similarity"),
    [
        ("What is the capital of Mongolia?", 0.14),
        ("How do I bake sourdough bread?", 0.17),
        ("Who invented the telephone?", 0.13),
        ("What's the weather like today?", 0.1),
        ("Does Threadlore work with Telegram?", 0.5),
        ("How do I change the oil in my car?", 0.1),
    ],
)
def test_passages_about_something_else_are_not_enough(question: str, similarity: float) -> None:
    passages = [make_passage(SLACK, "Slack", similarity), make_passage(LEASE, "Inbox", similarity - 0.05, 2)]
    assert evidence(question, passages) < ENOUGH_EVIDENCE


def test_without_similarities_the_words_decide() -> None:
    passages = [make_passage(SLACK), make_passage(LEASE, rank=2)]
    assert evidence("How do I connect Threadlore to Slack?", passages) >= ENOUGH_EVIDENCE
    assert evidence("How do I bake sourdough bread?", passages) < ENOUGH_EVIDENCE


def test_more_of_the_question_in_one_place_is_more_evidence() -> None:
    together = [make_passage("The heartbeat renews the lease of a parked item.", similarity=0.5)]
    apart = [
        make_passage(
            "The heartbeat is slow. The weather is fine. A lease was signed. Items are sold.", similarity=0.5
        )
    ]
    question = "Does the heartbeat renew the lease of an item?"
    assert evidence(question, together) > evidence(question, apart)


def test_a_name_that_no_passage_mentions_is_a_reason_for_doubt() -> None:
    passages = [make_passage(SLACK, similarity=0.6)]
    assert evidence("How do I connect Threadlore to Zulip?", passages) < evidence(
        "How do I connect Threadlore to Slack?", passages
    )


def test_no_passages_are_no_evidence() -> None:
    assert evidence("Anything?", []) == 0


@settings(max_examples=100, deadline=None)
@given(
    question=st.text(max_size=200),
    texts=st.lists(st.text(max_size=300), min_size=1, max_size=4),
    similarity=st.none() | st.floats(-1, 1),
)
def test_evidence_is_a_probability_whatever_it_reads(
    question: str, texts: list[str], similarity: float | None
) -> None:
    passages = [make_passage(text, similarity=similarity, rank=rank) for rank, text in enumerate(texts, 1)]
    assert 0 <= evidence(question, passages) <= 1

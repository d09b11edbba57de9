"""Evidence on cases from the product; the public question sets are measured elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.answers import Passage
from core.knowledge.evidence import evidence
from core.knowledge.judgement import Judgement, find_judgement
from core.providers.local_embedder import NAME

FITTED = find_judgement(NAME)
BY_WORDS = find_judgement(None)

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
        ("How long does the lease last?", 0.4),
    ],
)
def test_passages_that_say_it_are_enough(question: str, similarity: float) -> None:
    passages = [make_passage(SLACK, "Slack", similarity), make_passage(LEASE, "Inbox", similarity - 0.05, 2)]
    assert evidence(question, passages, FITTED) >= FITTED.threshold


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
    assert evidence(question, passages, FITTED) < FITTED.threshold


def test_without_similarities_the_words_decide() -> None:
    passages = [make_passage(SLACK), make_passage(LEASE, rank=2)]
    assert evidence("How do I connect Threadlore to Slack?", passages, BY_WORDS) >= BY_WORDS.threshold
    assert evidence("How do I bake sourdough bread?", passages, BY_WORDS) < BY_WORDS.threshold


def test_more_of_the_question_in_one_place_is_more_evidence() -> None:
    together = [make_passage("The heartbeat renews the lease of a parked item.", similarity=0.5)]
    apart = [
        make_passage(
            "The heartbeat is slow. The weather is fine. A lease was signed. Items are sold.", similarity=0.5
        )
    ]
    question = "Does the heartbeat renew the lease of an item?"
    assert evidence(question, together, FITTED) > evidence(question, apart, FITTED)


def test_a_name_that_no_passage_mentions_is_a_reason_for_doubt() -> None:
    passages = [make_passage(SLACK, similarity=0.6)]
    assert evidence("How do I connect Threadlore to Zulip?", passages, FITTED) < evidence(
        "How do I connect Threadlore to Slack?", passages, FITTED
    )


def test_no_passages_are_no_evidence() -> None:
    assert evidence("Anything?", [], FITTED) == 0


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
    for judgement in (FITTED, BY_WORDS):
        assert 0 <= evidence(question, passages, judgement) <= 1


@pytest.mark.parametrize(
    ("answered", "against"),
    [
        ("Who may delete a channel?", "Who may not delete a channel?"),
        ("Which tokens are public in the manifest?", "Which tokens are private in the manifest?"),
        ("Does the manifest of 2024 hold tokens?", "Does the manifest of 2019 hold tokens?"),
        ("Is a reliable worker needed?", "Is an unreliable worker needed?"),
    ],
)
def test_what_goes_against_the_text_is_less_likely_answered_by_it(answered: str, against: str) -> None:
    text = (
        "An owner may delete a channel. Tokens are public in the manifest. The manifest of 2024 can hold tokens. "
        "A reliable worker is needed."
    )
    passages = [make_passage(text, similarity=0.6)]
    assert evidence(against, passages, BY_WORDS) < evidence(answered, passages, BY_WORDS)


def test_an_embedder_nothing_was_fitted_for_is_judged_by_words_alone() -> None:
    hosted = find_judgement("openai:text-embedding-3-small")
    near, far = [make_passage(SLACK, similarity=0.9)], [make_passage(SLACK, similarity=0.1)]
    question = "How do I connect Threadlore to Slack?"
    assert hosted == BY_WORDS
    assert evidence(question, near, hosted) == evidence(question, far, hosted)
    assert evidence(question, near, FITTED) > evidence(question, far, FITTED)


def test_a_judgement_stays_finite_whatever_its_weights() -> None:
    extreme = Judgement(constant=0, weights={"sentence": 1e9}, threshold=0.5)
    assert extreme.probability({"sentence": 1.0}) == pytest.approx(1.0)
    assert extreme.probability({"sentence": -1.0}) == pytest.approx(0.0)

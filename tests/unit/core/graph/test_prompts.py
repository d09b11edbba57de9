"""Prompts are files with a version; what is put into them stays data."""

from __future__ import annotations

import pytest

from core.answers import Memory, Passage
from core.graph.prompts import load_prompt, render_memory, render_passages

PASSAGE = Passage(
    chunk_id=1,
    document_id=1,
    title="A {question}",
    uri="a.md",
    text="Braces {memory} stay.",
    rank=1,
    score=1.0,
)


@pytest.mark.parametrize("name", ["answer", "rewrite", "summarise"])
def test_every_prompt_names_its_version_and_hash(name: str) -> None:
    prompt = load_prompt(name)
    label, _, digest = prompt.id.partition("-")
    assert label.startswith(f"{name}@")
    assert len(digest) == 8


def test_values_with_braces_are_put_in_once() -> None:
    user = load_prompt("answer").render_user(
        question="What is {passages}?", memory=Memory(), passages=[PASSAGE]
    )
    assert "Braces {memory} stay." in user
    assert user.endswith("Question: What is {passages}?")


def test_passages_are_numbered_from_one() -> None:
    text = render_passages([PASSAGE, PASSAGE])
    assert "number=1" in text
    assert "number=2" in text


def test_a_thread_without_memory_adds_nothing() -> None:
    assert render_memory(Memory()) == ""


def test_memory_is_told_from_old_to_new() -> None:
    text = render_memory(Memory(summary="Old things.", turns=(("Q1", "A1"), ("Q2", "A2"))))
    assert text.index("Old things.") < text.index("Q1") < text.index("A1") < text.index("Q2")

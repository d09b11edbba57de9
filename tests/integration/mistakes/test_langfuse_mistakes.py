"""O2: what operators get wrong about Langfuse, one mistake at a time; the doctor names it with its remedy."""

from __future__ import annotations

import pytest

from tests.integration.mistakes.making import NOBODY, Ground, Mistake, Mistakes, require_named

MISTAKES = Mistakes()

MISTAKES.setting("one key of two", "langfuse", "langfuse", "LANGFUSE_SECRET_KEY", LANGFUSE_SECRET_KEY="")
MISTAKES.setting(
    "keys swapped",
    "langfuse",
    "langfuse",
    "swapped",
    LANGFUSE_PUBLIC_KEY="sk-lf-1",
    LANGFUSE_SECRET_KEY="pk-lf-1",
)
MISTAKES.setting("keys of another", "langfuse", "langfuse", "refused", LANGFUSE_SECRET_KEY="sk-lf-2")
MISTAKES.setting("keys in clear", "langfuse", "langfuse", "https", LANGFUSE_BASE_URL="http://lf.example.com")
MISTAKES.setting("Langfuse away", "langfuse", "langfuse", "LANGFUSE_BASE_URL", LANGFUSE_BASE_URL=NOBODY)


@pytest.mark.parametrize("mistake", MISTAKES.cases())
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await require_named(mistake, ground, monkeypatch)

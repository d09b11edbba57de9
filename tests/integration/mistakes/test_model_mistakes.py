"""O2: what operators get wrong about models, the embedder and the reranker, one mistake at a time; the doctor names it with its remedy."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from core.testing.model_server import Fault as ModelFault
from tests.integration.mistakes.making import NOBODY, Ground, Mistake, Mistakes, require_named

MISTAKES = Mistakes()

MISTAKES.setting("a model without its key", "models", "models", "OPENAI_API_KEY", OPENAI_API_KEY="")
MISTAKES.setting("a provider that is none", "models", "models", "CHAT_MODEL", CHAT_MODEL="nobody:m")
MISTAKES.setting(
    "a model's server away", "models", "chat model", "OPENAI_BASE_URL", OPENAI_BASE_URL=f"{NOBODY}/v1"
)
MISTAKES.setting("a budget without a price", "models", "models", "MODEL_PRICES", BUDGET_USD_PER_DAY="5")
MISTAKES.setting(
    "a fallback of nothing",
    "models",
    "models",
    "CHAT_MODEL",
    CHAT_MODEL="",
    CHAT_MODEL_FALLBACKS="openai:n",
)
MISTAKES.setting(
    "an embedder away", "embedder", "embedder", "OPENAI_BASE_URL", OPENAI_BASE_URL=f"{NOBODY}/v1"
)
MISTAKES.setting("a reranker away", "reranker", "reranker", "RERANKER_URL", RERANKER_URL=f"{NOBODY}/rerank")
MISTAKES.setting(
    "half a reranker", "reranker", "reranker", "RERANKER_URL", RERANKER_URL="", RERANKER_MODEL="m"
)
MISTAKES.setting(
    "a reranker that is not installed",
    "reranker",
    "reranker",
    "RERANKER_CLASS",
    RERANKER_URL="",
    RERANKER_CLASS="no_such_package:Encoder",
)


@MISTAKES.elsewhere("a model's key refused", "models", "chat model", "OPENAI_API_KEY")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=401))


@MISTAKES.elsewhere("a model that is not there", "models", "chat model", "CHAT_MODEL", "404")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=404))


@MISTAKES.elsewhere("no credit", "models", "chat model", "account")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=429, code="insufficient_quota"))


@MISTAKES.elsewhere("a model that says nothing", "models", "chat model", "answers nothing")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="empty"))


@MISTAKES.elsewhere("an embedder's key refused", "embedder", "embedder", "OPENAI_API_KEY")
async def _(ground: Ground) -> None:
    ground.model.break_all(ModelFault(kind="status", status=401))


@MISTAKES.elsewhere("vectors of another size", "embedder", "embedder", "EMBEDDING_MODEL", "dimensions")
async def _(ground: Ground) -> None:
    await ground.database.run(
        text("insert into embedding_models (name, dimensions) values ('openai:e', 1536)")
    )

    async def mend() -> None:
        await ground.database.run(text("delete from embedding_models"))

    ground.stack.push_async_callback(mend)


@pytest.mark.parametrize("mistake", MISTAKES.cases())
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await require_named(mistake, ground, monkeypatch)

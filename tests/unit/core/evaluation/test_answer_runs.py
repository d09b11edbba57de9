"""Answer runs: a scripted assistant on a tiny set, and the figures that follow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from core.answers import Answer, Citation, Memory, Passage, TokenUse
from core.errors import DatasetError
from core.evaluation.answer_runs import Reply, run_answers
from core.evaluation.collection import Workbench
from core.evaluation.datasets import Dataset, read_dataset
from core.messages import Audience
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

CORPUS = [{"id": "sky", "text": "The sky is blue."}, {"id": "grass", "text": "Grass is green."}]
QUESTIONS = [
    {"id": "1", "text": "sky?", "answerable": True, "answers": ["blue"], "source": "sky", "sample": True},
    {"id": "2", "text": "grass?", "answerable": True, "answers": ["green"], "source": "grass"},
    {"id": "3", "text": "sea?", "answerable": False, "source": "sky", "sample": True},
    {"id": "4", "text": "sun?", "answerable": False, "source": "sky"},
    {"id": "5", "text": "unknown whether it can be answered"},
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CORPUS))
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    (tmp_path / "qrels.tsv").write_text("1\tsky\t1\n2\tgrass\t1\n")
    return read_dataset(tmp_path)


def make_reply(text: str, cited: str, evidence: float) -> Reply:
    passage = Passage(
        chunk_id=1, document_id=1, title="", uri=cited, text="The sky is blue.", rank=1, score=1
    )
    citation = Citation(n=1, chunk_id=1, document_id=1, title="", uri=cited, quote="sky is blue")
    return Reply(
        answer=Answer(text=text, citations=(citation,)),
        passages=(passage,),
        evidence=evidence,
        use=TokenUse(input_tokens=10, output_tokens=2, cost_usd=0.5),
    )


SILENT = Reply(answer=Answer(text="I do not know.", abstained=True, reason="weak_evidence"), evidence=0.1)


class ScriptedAssistant:
    def __init__(self, replies: dict[str, Reply]) -> None:
        self.replies = replies
        self.audiences: set[Audience] = set()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, question: str, *, memory: Memory, audience: Audience) -> Reply:
        self.audiences.add(audience)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return self.replies[question]


async def test_the_figures_of_a_run_as_counted_by_hand(dataset: Dataset) -> None:
    store = InMemoryKnowledgeStore()
    assistant = ScriptedAssistant(
        {
            "sky?": make_reply("It is blue [1].", "sky", 0.9),
            "grass?": make_reply("It is blue [1].", "sky", 0.6),
            "sea?": SILENT,
            "sun?": make_reply("It is blue [1].", "sky", 0.7),
        }
    )
    result = await run_answers(dataset, assistant, Workbench(store, FakeEmbedder()), concurrency=2)
    assert (result.questions, result.answered, result.failed) == (4, 3, 0)
    assert result.abstention.accuracy == 0.75
    assert result.abstention.precision == 1.0
    assert result.abstention.recall == 0.5
    assert result.abstention.balanced_accuracy == 0.75
    assert result.auroc == 0.75
    assert result.gold_contained == 0.5
    assert result.gold_contained_of_all == 0.5
    assert result.citation_precision == 0.5
    assert result.citation_validity == 1.0
    assert (result.input_tokens, result.output_tokens, result.cost_usd) == (30, 6, 1.5)
    assert assistant.most_at_once == 2
    assert len(assistant.audiences) == 1
    assert await store.sources() == []


async def test_the_sample_asks_the_flagged_questions_only(dataset: Dataset) -> None:
    assistant = ScriptedAssistant({"sky?": SILENT, "sea?": SILENT})
    result = await run_answers(
        dataset, assistant, Workbench(InMemoryKnowledgeStore(), FakeEmbedder()), sample=True
    )
    assert result.questions == 2
    assert result.answered == 0
    assert result.gold_contained is None
    assert result.gold_contained_of_all == 0.0
    assert result.citation_precision is None


async def test_a_failed_reply_is_counted_and_is_no_answer(dataset: Dataset) -> None:
    failed = Reply(answer=Answer(text=""), failed=True)
    result = await run_answers(
        dataset,
        ScriptedAssistant({"sky?": failed, "sea?": failed}),
        Workbench(InMemoryKnowledgeStore(), FakeEmbedder()),
        sample=True,
    )
    assert (result.failed, result.answered) == (2, 0)
    assert result.auroc is None


async def test_a_set_that_does_not_say_what_can_be_answered_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps(CORPUS[0]) + "\n")
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "1", "text": "sky?"}) + "\n")
    (tmp_path / "qrels.tsv").write_text("1\tsky\t1\n")
    with pytest.raises(DatasetError, match="answerable"):
        await run_answers(
            read_dataset(tmp_path), ScriptedAssistant({}), Workbench(InMemoryKnowledgeStore(), FakeEmbedder())
        )

"""What people read when no model is set."""

from __future__ import annotations

from core.answers import Memory, Passage
from core.citations import check_citations
from core.ports import NO_ANSWER, ModelRequest, Task
from core.providers.extractive import ExtractiveAnswerer

SLACK = """To connect Threadlore to Slack:

1. Run `threadlore manifest slack` and copy what it prints.
2. Open [the app page](https://api.slack.com/apps) and paste it.
3. Set both tokens and start:

   ```sh
   SLACK_BOT_TOKEN=xoxb-1 make run
   ```

The tokens are never logged.
"""
SETTINGS = """| Setting | Default | Meaning |
|---|---|---|
| TURN_TIMEOUT_SECONDS | 90 | how long an answer may take |
| LOG_LEVEL | INFO | how much is logged |
"""
INBOX = (
    "Every event is stored before the platform is acknowledged.[3] A worker claims the oldest event of a thread. "
    "The lease lasts 30 seconds. It is renewed by a heartbeat. After three crashes an item is parked."
)
TESTS = "Run the checks and the tests with one command.\n\n```sh\nmake test\n```\n"


def make_passages(*texts: tuple[str, str], similarity: float = 0.6) -> tuple[Passage, ...]:
    return tuple(
        Passage(
            chunk_id=n,
            document_id=n,
            title=title,
            uri=f"{title}.md",
            heading_path=(title,),
            text=text,
            rank=n,
            score=1 / n,
            similarity=similarity,
        )
        for n, (title, text) in enumerate(texts, 1)
    )


ALL = make_passages(
    ("The inbox", INBOX), ("Connecting Slack", SLACK), ("Settings", SETTINGS), ("Testing", TESTS)
)


async def say(
    question: str, passages: tuple[Passage, ...] = ALL, task: Task = "answer", memory: Memory | None = None
) -> str:
    request = ModelRequest(
        task=task, system="", user="", question=question, passages=passages, memory=memory or Memory()
    )
    return "".join([delta.text async for delta in ExtractiveAnswerer().stream(request)])


async def test_a_how_to_question_gets_the_steps_whole_and_in_order() -> None:
    answer = await say("How do I connect Threadlore to Slack?")
    assert answer.startswith("To connect Threadlore to Slack: [2]\n\n1. Run")
    assert answer.index("1. Run") < answer.index("2. Open") < answer.index("3. Set both")
    assert answer.count("```") == 2
    assert "never logged" not in answer


async def test_a_question_about_a_fact_gets_the_sentence() -> None:
    assert await say("How long does the lease last?") == "The lease lasts 30 seconds. [1]"


async def test_a_sentence_that_leans_on_the_one_before_brings_it_along() -> None:
    answer = await say("What renews the lease with a heartbeat?", make_passages(("The inbox", INBOX)))
    assert "The lease lasts 30 seconds. It is renewed by a heartbeat." in answer


async def test_a_table_row_is_given_with_its_headings() -> None:
    answer = await say("What is the default of TURN_TIMEOUT_SECONDS?")
    assert answer == ("Setting: TURN_TIMEOUT_SECONDS; Default: 90; Meaning: how long an answer may take [3]")


async def test_code_comes_with_what_introduces_it() -> None:
    answer = await say("How do I run the tests?")
    assert "one command. [4]" in answer
    assert "```sh\nmake test\n```" in answer


async def test_links_become_text_and_foreign_footnotes_go() -> None:
    assert "Open the app page and" in await say("How do I connect Threadlore to Slack?")
    answer = await say("What is stored before the platform is acknowledged?", make_passages(("x", INBOX)))
    assert "[3]" not in answer
    assert "[1]" in answer


async def test_every_marker_survives_the_check_of_citations() -> None:
    for question in (
        "How do I connect Threadlore to Slack?",
        "How long does the lease last?",
        "What is the default of TURN_TIMEOUT_SECONDS?",
        "How do I run the tests?",
        "What happens after three crashes?",
    ):
        checked = check_citations(await say(question), ALL)
        assert checked.citations, question
        assert checked.dropped == 0, question


async def test_what_the_passages_do_not_say_is_not_answered() -> None:
    far = make_passages(("The inbox", INBOX), ("Connecting Slack", SLACK), similarity=0.12)
    assert await say("What is the capital of Mongolia?", far) == NO_ANSWER
    assert await say("How do I bake sourdough bread?", far) == NO_ANSWER
    assert await say("Anything?", ()) == NO_ANSWER


async def test_the_same_words_in_two_passages_are_quoted_once() -> None:
    twice = make_passages(("One", INBOX), ("Two", INBOX))
    assert (await say("How long does the lease last?", twice)).count("30 seconds") == 1


async def test_a_follow_up_is_rewritten_with_the_memory() -> None:
    memory = Memory(turns=(("What is the outbox?", "A table."),))
    assert await say("How does it work?", (), "rewrite", memory) == "How does outbox work?"


async def test_a_summary_keeps_questions_and_the_start_of_answers() -> None:
    memory = Memory(summary="They set up Slack.", turns=(("What is a lease?", "A right. " * 100),))
    summary = await say("", (), "summarise", memory)
    assert summary.startswith("They set up Slack.\nAsked: What is a lease? Answered: A right.")
    assert len(summary) < 400


async def test_a_row_of_a_table_without_a_header_is_quoted_alone() -> None:
    rows = "| LOG_LEVEL | how much is logged |\n| LOG_FORMAT | how the log looks |"
    answer = await say("How does the log look with LOG_FORMAT?", make_passages(("Settings", rows)))
    assert answer == "LOG_FORMAT; how the log looks [1]"


async def test_a_sentence_that_introduces_a_table_brings_its_rows_with_their_columns() -> None:
    text = f"These settings shape the log output of the server:\n\n{SETTINGS}"
    answer = await say("Which settings shape the log output of the server?", make_passages(("Log", text)))
    assert answer.startswith("These settings shape the log output of the server: [1]\n\n- Setting: TURN_")
    assert "- Setting: LOG_LEVEL; Default: INFO; Meaning: how much is logged" in answer

from __future__ import annotations

from core.knowledge.sentences import pieces_of, split_sentences

TEXT = """Some words first, e.g. these. Dr. Smith agrees!

## Set up

Follow these steps:

1. Create an app.
   Use the manifest.

   ```sh
   threadlore manifest slack
   ```
2. Install it.

Then run:

```sh
make run
```

| Setting | Meaning |
|---|---|
| LOG_LEVEL | how much is logged |

- one
- two
"""


def test_a_passage_falls_into_what_can_be_quoted_from_it() -> None:
    assert [(piece.kind, piece.text.splitlines()[0]) for piece in pieces_of(TEXT)] == [
        ("sentence", "Some words first, e.g. these."),
        ("sentence", "Dr. Smith agrees!"),
        ("heading", "## Set up"),
        ("sentence", "Follow these steps:"),
        ("step", "1. Create an app."),
        ("step", "2. Install it."),
        ("sentence", "Then run:"),
        ("code", "```sh"),
        ("header", "| Setting | Meaning |"),
        ("row", "| LOG_LEVEL | how much is logged |"),
        ("item", "- one"),
        ("item", "- two"),
    ]


def test_code_and_text_under_a_step_belong_to_it() -> None:
    step = next(piece for piece in pieces_of(TEXT) if piece.kind == "step")
    assert "Use the manifest." in step.text
    assert "threadlore manifest slack" in step.text


def test_steps_of_one_list_share_a_block_over_blank_lines() -> None:
    steps = [
        piece for piece in pieces_of("1. One thing\n\n2. Another thing\n\nText.") if piece.kind == "step"
    ]
    assert len({step.block for step in steps}) == 1


def test_a_fence_that_never_closes_ends_with_the_passage() -> None:
    [piece] = pieces_of("```\n# not a heading\nprint(1)")
    assert piece.kind == "code"


def test_abbreviations_and_numbers_do_not_end_sentences() -> None:
    text = "Version 1.2 of e.g. The Tool costs $3.50. The U.S. Office closed. It is J. Smith's."
    assert list(split_sentences(text)) == [
        "Version 1.2 of e.g. The Tool costs $3.50.",
        "The U.S. Office closed.",
        "It is J. Smith's.",
    ]


def test_nothing_comes_from_nothing() -> None:
    assert pieces_of("") == ()
    assert pieces_of("\n\n---\n") == ()

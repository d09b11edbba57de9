"""What people are told when there is no answer to give: plain words, never an exception's text."""

from __future__ import annotations

TIMED_OUT = (
    "Sorry, this took longer than I may think about one question. Please try again, or ask for less at once."
)
MODEL_FAILED = "Sorry, the language model that I write answers with is not available right now. Please try again in a few minutes."
QUOTED = {
    "model_failed": "The language model that I write answers with is not available right now, so I quote the documents:",
}
"""The first line of an answer that is quoted because none could be written."""
BROKEN = "Sorry, something went wrong on my side, and I could not answer. The people who run me can see what happened."
TOO_LATE = "Sorry, I was interrupted and could not answer in time. Please ask me again if it still matters."
NOTHING_ASKED = "Ask me a question about your team's documents, and I will look it up. For example: *How do I set up my development environment?*"


def too_long(limit_characters: int) -> str:
    """For a question that no search could make use of."""
    return f"That is more text than I can take as one question. Please ask in at most {limit_characters:,} characters."

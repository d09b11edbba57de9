"""What people are told when there is no answer to give: plain words, never an exception's text."""

from __future__ import annotations

TIMED_OUT = (
    "Sorry, this took longer than I may think about one question. Please try again, or ask for less at once."
)
MODEL_FAILED = "Sorry, the language model that I write answers with is not available right now. Please try again in a few minutes."
QUOTED = {
    "budget_spent": "My budget for the language model is used up until tomorrow (00:00 UTC), so I quote the documents:",
    "model_failed": "The language model that I write answers with is not available right now, so I quote the documents:",
}
"""The first line of an answer that is quoted because none could be written."""
BUDGET_SPENT = "Sorry, my budget for the language model is used up until tomorrow (00:00 UTC), and I found no place in the documents that answers this by itself. Please ask again then."
BY_WORDS_ALONE = "Only documents that use the words of the question were found this time: the model that searches by meaning is not available right now."
FOR_OUTSIDERS = (
    "People from outside may read this channel, so I look only into documents that were granted to it."
)
SEARCH_IMPAIRED = "Sorry, the model that I search with is not available right now, and no document holds the words of your question. Please try again in a few minutes."
BROKEN = "Sorry, something went wrong on my side, and I could not answer. The people who run me can see what happened."
TOO_LATE = "Sorry, I was interrupted and could not answer in time. Please ask me again if it still matters."
NOTHING_ASKED = "Ask me a question about your team's documents, and I will look it up. For example: *How do I set up my development environment?*"


def still_reading(done: int, total: int) -> str:
    """For the last line of an answer that may lack what stands in documents that have not been read yet."""
    so_far = f" ({done:,} of {total:,} so far)" if total else ""
    return f"I am still reading the documents{so_far}, so something may be missing here. Ask me again in a while."


def too_long(limit_characters: int) -> str:
    """For a question that no search could make use of."""
    return f"That is more text than I can take as one question. Please ask in at most {limit_characters:,} characters."


def too_many_in_a_minute(limit: int) -> str:
    """Also says what becomes of the questions that come after this one."""
    return f"That was more than {limit} questions within a minute. I pass over this one and any other of yours until the next minute begins; please ask them again then."


def too_many_today(limit: int) -> str:
    """Also says what becomes of the questions that come after this one."""
    return f"That was more than {limit} questions today, as many as I answer one person in a day. I pass over this one and any other of yours until tomorrow (00:00 UTC)."

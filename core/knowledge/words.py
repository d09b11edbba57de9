"""Words of English text as they matter for matching questions with passages. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

QUESTION_WORDS = frozenset(WORD.findall("who whom whose what which when where why how whether"))
STOP_WORDS = QUESTION_WORDS | frozenset(
    WORD.findall("""
    a about above after again all also am an and any are aren't as at be because been before being between
    both but by can can't cannot could couldn't did didn't do does doesn't doing don't during each either
    else ever few for from further had has have haven't having he her here hers him his i i'd i'll i'm i've
    if in into is isn't it it's its itself just let let's like may me might mine more most much must my
    myself no nor not now of off ok okay on once only or other our ours out over own per please s same
    shall she should so some such t than thank thanks that that's the their theirs them then there there's
    these they this those through to too under until up upon us very was wasn't we were weren't will with
    within without won't would wouldn't you your yours yourself
    actually called come comes does else everything exactly exist exists get gets getting give given go
    going got happen happened happens know known make makes many mean means name need needs one people
    possible really say says someone something tell thing things try trying use used uses using want wants
    way ways
    """)
)
"""Words that say how something is asked rather than what about."""

ENDINGS = (
    "izations", "ization", "ations", "ation", "ities", "ments", "ness", "ions", "ings", "able", "ible",
    "ment", "ance", "ence", "ally", "ion", "ing", "ies", "ity", "ive", "ant", "ent", "ers", "ors", "est",
    "ed", "es", "er", "or", "ly", "al", "ic", "s", "e", "y",
)  # fmt: skip
SHORTEST_STEM = 4


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """What the forms of a lower-case word share; crude, and the same on both sides of a match."""
    word = word.removesuffix("'s").removesuffix("’s")
    if len(word) <= 3 or not word.isalpha():
        return word
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= (
            3 if ending in ("s", "ed", "ing") else SHORTEST_STEM
        ):
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word[-1] in "ey" else word


def words_of(text: str) -> list[str]:
    """The words of the text as they stand; underscores separate."""
    return WORD.findall(text)


def stems_of(text: str) -> list[str]:
    """The stem of every word that is no stop word, in order."""
    return [stem(word) for word in map(str.lower, WORD.findall(text)) if word not in STOP_WORDS]

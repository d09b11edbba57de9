"""Makes a follow-up question stand on its own, from the questions before it, without a model. Pure.

Only what is missing is put in, and only a few words of it: joining whole turns makes a search worse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.answers import Memory
from core.knowledge.words import STOP_WORDS, stem, words_of

LOOK_BACK = 6
LONGEST_TOPIC_WORDS = 3

FADING, LENGTH, SPREAD, PLACE = 0.8, 0.2, 0.8, 0.3
"""How a phrase is judged as the topic: by its age in turns, its words, in how many turns it occurs,
and where in its question it stands."""

TOKEN = re.compile(r"[^\W_]+(?:['’_.-][^\W_]+)*|[^\w\s]")

POSSESSIVE = re.compile(r"\b(?:its|their|his|her)\b", re.IGNORECASE)
PRONOUN = re.compile(r"\b(?:it|they|them|he|him|she|these|those)\b(?!['’])", re.IGNORECASE)
POINTING = re.compile(
    r"\b(?:that|this)\b(?=\s*(?:[?.!,]|$|(?:is|was|does|do|work|works|mean|means|happen|happens|cost|take|affect|compare)\b))"
    r"|(?<=\babout )(?:that|this)\b|(?<=\bof )(?:that|this)\b|(?<=\bdoes )(?:that|this)\b|(?<=\bdo )(?:that|this)\b",
    re.IGNORECASE,
)
EMPTY_IT = re.compile(
    r"\b(?:is|was|does|did|will|would|can|could|makes?|takes?|how long does|how much does) it\s+"
    r"(?:possible|important|necessary|true|mean that|take to|take|cost to|make sense|ok|okay|safe to|better to)\b",
    re.IGNORECASE,
)
ELLIPSIS = re.compile(
    r"^\W*(?:(?:and|or|but|so|ok|okay|then|also)\b[\s,]*)*(?:what|how)\s+about\b"
    r"|^\W*(?:and|or|but|also)\b|^\W*(?:why|how|when|where|who|how come|why not)\W*$"
    r"|\b(?:others?|another|else|instead|either|the same|(?:the )?(?:former|latter|first|second|last) one)\b",
    re.IGNORECASE,
)
SIBLING = re.compile(r"\b(?:what|how)\s+about\b", re.IGNORECASE)
"""Asks the question before once more, about something else."""

LEADING = re.compile(
    r"^\W*(?:(?:and|or|but|so|ok|okay|then|also|well|hmm|thanks|thank you)\b[\s,.!]*)+", re.IGNORECASE
)
VAGUE = frozenset(
    words_of("""
    different type types kind kinds sort sorts example examples difference differences thing main best good bad
    important importance common popular famous major big large small new old long first last next full kinds
    explain describe define list tell show compare find look effect effects cause causes reason reasons role
    history origin purpose benefit benefits advantage advantages disadvantage disadvantages work works worked
    start started begin began become became part parts time times day days year years great help helps number
    today current currently recent recently available better worse difference similar information details
    problem problems issue issues question questions step steps setting settings option options
    choose chosen provide provides continue owed owe check buy buying sell sold pay paid lead led win won lose
    lost follow cover covered contain include includes occur occurs develop developed grow form formed move put
    keep leave ask feel think believe see seen watch learn study change changed affect affects affected allow
    cost costs live lived die died born eat eats written write wrote made built build invented discovered
    transported treated originally typically usually normally interesting process good
    tips advice fact facts idea ideas choice choices required
    """)
)
"""Words that say little about the topic of a question."""


@dataclass(frozen=True)
class Asked:
    """A question of the conversation: its own telling phrases and the topic that it leaned on."""

    phrases: tuple[tuple[str, ...], ...]
    topic: str = ""


def rewrite_question(question: str, memory: Memory) -> str:
    """The question, with the topic of the conversation put in where it leans on it; else unchanged."""
    texts = [message.text for message in memory.earlier][-LOOK_BACK:]
    texts += [earlier for earlier, _ in memory.turns][-LOOK_BACK:]
    before: list[Asked] = []
    for text in texts:
        _, topic = _resolve(text, before)
        before.append(Asked(tuple(_phrases(text)), topic))
    return _resolve(question, before)[0]


def _resolve(question: str, before: Sequence[Asked]) -> tuple[str, str]:
    """The standalone question and the topic that was put in; the question itself and nothing if none was."""
    question = question.strip()
    topic = find_topic(before, question) if before else ""
    if not topic:
        return question, ""
    plain = EMPTY_IT.sub(lambda match: "\0" * len(match[0]), question)
    matches = [match for pattern in (POSSESSIVE, PRONOUN, POINTING) if (match := pattern.search(plain))]
    if matches:
        first = min(matches, key=lambda match: match.start())
        if _names_itself(question[: first.start()]):
            return question, ""
        inserted = f"{topic}'s" if POSSESSIVE.fullmatch(first[0]) else topic
        return question[: first.start()] + inserted + question[first.end() :], topic
    if ELLIPSIS.search(question) or _says_little(question):
        return _append(LEADING.sub("", question) or question, topic), topic
    return question, ""


def _names_itself(start: str) -> bool:
    """Whether the words before a pronoun hold what it stands for."""
    words = words_of(start)
    telling = [word for word in words if _is_telling(word)]
    return any(word[0].isupper() for word in words[1:] if _is_telling(word)) or len(telling) >= 2


def _says_little(question: str) -> bool:
    """Whether the question has no name and hardly a word that says what it is about."""
    words = words_of(question)
    telling = [word for word in words if _is_telling(word)]
    named = any(word[0].isupper() or any(map(str.isdigit, word)) for word in words[1:])
    return not telling or (len(telling) <= 1 and not named)


def _append(question: str, topic: str) -> str:
    text = question.rstrip("?!. ")
    return f"{text} {topic}{question[len(text) :]}".strip()


def find_topic(before: Sequence[Asked], question: str) -> str:
    """A few words that name what was talked about last and the question does not name itself."""
    present = {stem(word.lower()) for word in words_of(question)}
    mentions = [{stem(word.lower()) for phrase in asked.phrases for word in phrase} for asked in before]
    best, best_score = "", 0.0
    for age, asked in enumerate(reversed(before)):
        inherited = (tuple(asked.topic.split()),) if asked.topic else ()
        phrases = (*inherited, *asked.phrases)
        for position, phrase in enumerate(phrases):
            stems = {stem(word.lower()) for word in phrase}
            if stems & present:
                continue
            spread = sum(bool(stems & mentioned) for mentioned in mentions) / len(mentions)
            named = any(word[0].isupper() for word in phrase)
            place = (position + 1) / len(phrases)
            if SIBLING.search(question):
                place = 1 - place
            score = FADING**age * (1 + named + LENGTH * len(phrase) + SPREAD * spread + PLACE * place)
            if score > best_score:
                best, best_score = " ".join(phrase), score
    return best


def _phrases(text: str) -> list[tuple[str, ...]]:
    """Runs of telling words, cut to the last few. A capital at the start of the text means nothing."""
    runs: list[list[str]] = [[]]
    for position, match in enumerate(TOKEN.finditer(text)):
        word = match[0]
        if _is_telling(word):
            runs[-1].append(word.lower() if position == 0 and word.istitle() else word)
        elif runs[-1]:
            runs.append([])
    return [tuple(run[-LONGEST_TOPIC_WORDS:]) for run in runs if run]


def _is_telling(word: str) -> bool:
    plain = word.lower().replace("’", "'")
    return word[0].isalnum() and len(word) > 1 and plain not in STOP_WORDS and plain not in VAGUE

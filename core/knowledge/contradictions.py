"""Signs that a text speaks of something else than a question which shares its words: a negation that the text
has not, the opposite of a word, another number. Pure."""

from __future__ import annotations

from functools import cache

from core.knowledge.words import words_of

NEGATIONS = frozenset(["not", "no", "never", "cannot", "without", "nobody", "none", "neither", "nor"])

OPPOSITES = """
more / less fewer
most / least fewest
high / low
higher / lower
highest / lowest
large big / small little
larger bigger / smaller
largest biggest / smallest
increase rise / decrease fall reduce
increased rose / decreased fell reduced
increases rises / decreases falls reduces
increasing rising / decreasing falling reducing
first / last
before / after
early / late
earlier / later
begin start / end stop
begins starts / ends stops
began started / ended stopped
old / new young
older / newer younger
oldest / newest youngest
north / south
northern / southern
east / west
eastern / western
long / short
longer / shorter
longest / shortest
strong / weak
stronger / weaker
good / bad
better / worse
best / worst
true / false
rich / poor
win gain / lose
won gained / lost
allow permit / forbid prohibit prevent
allowed permitted / forbidden prohibited prevented
accept / reject refuse
accepted / rejected refused
include / exclude
included / excluded
minimum / maximum
above over / below under
major / minor
majority / minority
public / private
positive / negative
easy simple / difficult hard complex
common / rare
success / failure
succeed / fail
succeeded / failed
support / oppose
supported / opposed
import / export
internal / external
inside / outside
enable / disable
enabled / disabled
open / close
opened / closed
add / remove
added / removed
male / female
men / women
same / different
always / never
all / none
top upper / bottom lower
hot / cold
fast / slow
faster / slower
cheap / expensive
heavy / light
create build / destroy
created built / destroyed
full / empty
born / died
buy / sell
bought / sold
agree / disagree
arrive / leave
arrived / left
attack / defend
left / right
ancient / modern
natural / artificial
"""
"""Each line two sides; a word of one is the opposite of each word of the other."""

PREFIXES = ("un", "in", "im", "dis", "non", "ir", "il", "anti")
SHORTEST_PREFIXED = 4


def is_negated_elsewhere(question: str, text: str) -> bool:
    """Whether the question denies something and the text denies nothing."""
    return _negates(question) and not _negates(text)


def has_opposite(question: str, text: str) -> bool:
    """Whether the text has the opposite of a word that only the question has."""
    said = set(_lower_words(text))
    return any(
        word not in said and not said.isdisjoint(_opposites_of(word)) for word in _lower_words(question)
    )


def has_other_number(question: str, text: str) -> bool:
    """Whether the question names a number that the text has not."""
    said = set(_lower_words(text))
    return any(any(map(str.isdigit, word)) and word not in said for word in _lower_words(question))


def _negates(text: str) -> bool:
    return any(word in NEGATIONS or word.endswith(("n't", "n’t")) for word in text.lower().split())


def _lower_words(text: str) -> list[str]:
    return [word.lower() for word in words_of(text)]


@cache
def _known_opposites() -> dict[str, frozenset[str]]:
    known: dict[str, frozenset[str]] = {}
    for line in OPPOSITES.strip().splitlines():
        one, other = (frozenset(side.split()) for side in line.split("/"))
        for side, far_side in ((one, other), (other, one)):
            for word in side:
                known[word] = known.get(word, frozenset()) | far_side
    return known


def _opposites_of(word: str) -> frozenset[str]:
    """Those of the list, and the word with a prefix that turns it round, or without the one it has."""
    turned = {prefix + word for prefix in PREFIXES} if len(word) >= SHORTEST_PREFIXED else set()
    turned |= {
        word.removeprefix(prefix)
        for prefix in PREFIXES
        if word.startswith(prefix) and len(word) - len(prefix) >= SHORTEST_PREFIXED
    }
    return _known_opposites().get(word, frozenset()) | turned

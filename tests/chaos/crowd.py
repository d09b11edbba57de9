"""People who ask on both platforms, and the count of what became visible under their questions."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from bot.testing.slack import SlackDelivery
from core import notices
from core.answers import turn_id_of
from core.messages import Channel
from tests.chaos.outcome import Outcome
from tests.chaos.world import World

LOOK_AGAIN_SECONDS = 0.05
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOPICS = (
    "How are hotels paid?",
    "How long is parental leave?",
    "How are trains booked?",
    "How long is a sabbatical?",
    "What does a lost badge cost?",
)
NOTICES = tuple(value for name, value in vars(notices).items() if name.isupper() and isinstance(value, str))

PlatformName = Literal["slack", "discord"]


def name_of(number: int) -> str:
    """A number as letters: the digits of an answer are held against the documents."""
    letters = ""
    while number or len(letters) < 4:
        number, rest = divmod(number, 26)
        letters += LETTERS[rest]
    return letters


@dataclass(frozen=True)
class Place:
    """A thread on a platform: in Slack a channel and the root's ts, in Discord a thread's own channel."""

    platform: PlatformName
    channel: str
    root: str | None = None


@dataclass
class Question:
    """`name` stands in the question and in the model's answer to it; `deliveries` are Slack's of its message."""

    place: Place
    id: str
    name: str
    asked_at: float
    deliveries: Sequence[SlackDelivery] = ()

    @property
    def known_at(self) -> float | None:
        """When the platform was told that we have it. Discord's gateway knows no such word: from the start."""
        if self.place.platform == "discord":
            return self.asked_at
        return min((delivery.acked_at for delivery in self.deliveries if delivery.acked_at), default=None)


@dataclass(frozen=True)
class Shown:
    """A message of the bot. `question`: the id of the one that it stands under, where that can be told."""

    question: str | None
    text: str
    is_whole: bool


@dataclass
class Count:
    """What stands under a set of questions."""

    asked: int = 0
    answered: int = 0
    noticed: int = 0
    missing: int = 0
    lost: int = 0
    doubled: int = 0
    unfinished: int = 0
    out_of_order: int = 0
    untold: int = 0
    problems: list[str] = field(default_factory=list)

    def into(self, outcome: Outcome) -> Outcome:
        """The outcome with these figures added."""
        names = ("asked", "answered", "noticed", "lost", "doubled", "unfinished", "out_of_order", "untold")
        added = {name: getattr(outcome, name) + getattr(self, name) for name in names}
        return outcome.model_copy(update={**added, "problems": [*outcome.problems, *self.problems]})


class Crowd:
    """Asks, remembers what was asked, and counts. Each crowd has channels and threads of its own."""

    _numbers = count()

    def __init__(self, world: World) -> None:
        self.world = world
        world.crowds.append(self)
        self._asked: dict[Place, list[Question]] = {}

    # --- asking -----------------------------------------------------------------------------------

    async def ask(self, place: Place) -> Question:
        """The next question of a thread; the first in a Slack channel begins one (use `Question.place`)."""
        number = next(self._numbers)
        name = name_of(number)
        text = f"{TOPICS[number % len(TOPICS)]} (re {name})"
        asked_at = time.monotonic()
        if place.platform == "slack":
            told = len(self.world.slack.deliverer.deliveries)
            say = self.world.slack.post_message if place.channel[0] == "D" else self.world.slack.mention
            id_ = await say("U1", place.channel, text, place.root)
            deliveries = self.world.slack.deliverer.deliveries[told:]
            place = Place("slack", place.channel, place.root or id_)
        else:
            id_, deliveries = self.world.discord.mention("ada", text, channel=place.channel), []
        question = Question(place, id_, name, asked_at, deliveries)
        self._asked.setdefault(place, []).append(question)
        return question

    def new_place(self, platform: PlatformName, *, direct: bool = False) -> Place:
        """An empty channel in Slack (or a direct message with somebody new), an empty thread in Discord."""
        if platform == "slack":
            return Place("slack", f"{'DU' if direct else 'C'}{next(self._numbers)}X")
        return Place("discord", self.world.discord.create_thread(f"thread {next(self._numbers)}"))

    async def ask_all_over(self, questions: int, seconds: float, per_thread: int = 3) -> None:
        """So many questions, half on each platform, spread over the time, several in each thread."""
        threads = max(2, -(-questions // per_thread))
        places = [self.new_place("slack" if number % 2 else "discord") for number in range(threads)]
        began = time.monotonic()
        for number in range(questions):
            asked = await self.ask(places[number % threads])
            places[number % threads] = asked.place
            await asyncio.sleep(max(0.0, began + (number + 1) * seconds / questions - time.monotonic()))

    # --- counting ---------------------------------------------------------------------------------

    def count(self, places: Iterable[Place] | None = None) -> Count:
        """What is visible now, in these places or in all."""
        counted = Count()
        for place in tuple(self._asked) if places is None else places:
            self._count_place(counted, place, self._asked[place])
        return counted

    def _count_place(self, counted: Count, place: Place, asked: Sequence[Question]) -> None:
        shown = self._shown(place)
        position = {question.id: number for number, question in enumerate(asked)}
        under = Counter(message.question for message in shown)
        strangers = sum(times for id_, times in under.items() if id_ not in position)
        counted.asked += len(asked)
        counted.doubled += sum(max(0, under[question.id] - 1) for question in asked)
        counted.unfinished += sum(not message.is_whole for message in shown)
        order = [position[message.question] for message in shown if message.question in position]
        counted.out_of_order += self._overtaken(asked, list(dict.fromkeys(order)))
        names = {question.id: question.name for question in asked}
        for message in shown:
            name = names.get(message.question or "")
            is_answer = message.is_whole and message.text not in NOTICES
            if name is not None and is_answer and f"Re {name}." not in message.text:
                counted.problems.append(f"under {name} stands: {message.text[:80]!r}")
        counted.problems += [f"{strangers} messages in {place} belong to no question"] if strangers else []
        for question in asked:
            self._count_question(counted, question, [m for m in shown if m.question == question.id])

    def _overtaken(self, asked: Sequence[Question], order: Sequence[int]) -> int:
        """Questions whose answer stands below that of a later one, although we had them before that was asked.

        What Slack has to tell us again, because nobody lived to hear it, may come after what was asked later.
        """
        overtaken = 0
        for place, number in enumerate(order):
            later = [asked[other] for other in order[:place] if other > number]
            known_at = asked[number].known_at
            overtaken += any(known_at is not None and known_at < other.asked_at for other in later)
        return overtaken

    def _count_question(self, counted: Count, question: Question, shown: Sequence[Shown]) -> None:
        if any(message.is_whole for message in shown):
            is_notice = all(message.text in NOTICES for message in shown)
            counted.noticed += is_notice
            counted.answered += not is_notice
            return
        counted.missing += 1
        if not shown and question.known_at is not None:
            counted.lost += 1
        elif not shown:
            counted.untold += 1

    def _shown(self, place: Place) -> list[Shown]:
        return self._shown_in_slack(place) if place.platform == "slack" else self._shown_in_discord(place)

    def _shown_in_slack(self, place: Place) -> list[Shown]:
        workspace, channel = self.world.slack.workspace, self.world.slack.channel(place.channel)
        messages = [m for m in channel.thread(place.root or "") if m.user == workspace.bot_user_id]
        core = Channel(platform="slack", workspace=workspace.team_id, id=place.channel)
        turns = {str(turn_id_of(core, question.id)): question.id for question in self._asked[place]}
        names = {question.name: question.id for question in self._asked[place]}
        shown = []
        for message in messages:
            payload = (message.metadata or {}).get("event_payload") or {}
            question = turns.get(str(payload.get("turn_id")))
            if question is None and message.markdown.startswith("Re "):
                question = names.get(message.markdown[3:].partition(".")[0])
            # Feedback buttons stand under whole answers, and notices are whole as they are.
            is_whole = not message.is_streaming and (
                message.block("context_actions") is not None or message.markdown in NOTICES
            )
            shown.append(Shown(question, message.markdown, is_whole))
        return shown

    def _shown_in_discord(self, place: Place) -> list[Shown]:
        return [
            Shown(
                (message.get("message_reference") or {}).get("message_id"),
                message["content"],
                bool(message["components"]) or message["content"] in NOTICES,
            )
            for message in self.world.discord.visible(place.channel)
        ]

    def count_hidden(self) -> int:
        """Questions under which nothing stands yet, not even the beginning of an answer."""
        hidden = 0
        for place, asked in self._asked.items():
            hidden += max(0, len(asked) - len(self._shown(place)))
        return hidden

    # --- waiting ----------------------------------------------------------------------------------

    async def until_answered(self, patience_seconds: float) -> float:
        """Wait until something whole stands under every question, or patience ends; the seconds it took."""
        began = time.monotonic()
        waiting = list(self._asked)
        while waiting and time.monotonic() - began < patience_seconds:
            waiting = [place for place in waiting if self.count([place]).missing]
            if waiting:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return time.monotonic() - began

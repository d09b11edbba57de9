"""What came out of one run of a scenario, and the folder that keeps outcomes so that parts can be run again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

RESULTS = Path(".chaos")


class Outcome(BaseModel):
    """Counted at the platform. One per scenario and seed; a newer one takes the place of an older one.

    `lost`: accepted questions without any visible answer or notice. `doubled`: visible messages beyond one
    for a question. `unfinished`: half-written text that stayed. `out_of_order`: answers of a thread that
    stand before that of an earlier question. `untold`: questions that the platform gave up telling us.
    `brief`: at the scale of the tests.
    `problems`: what else did not hold, in words. Times are seconds; `ack_ms` milliseconds.
    """

    model_config = ConfigDict(frozen=True)

    scenario: str
    seed: int
    revision: str = ""
    brief: bool = False
    seconds: float = 0.0
    asked: int = 0
    answered: int = 0
    noticed: int = 0
    lost: int = 0
    doubled: int = 0
    unfinished: int = 0
    out_of_order: int = 0
    untold: int = 0
    faults: dict[str, int] = Field(default_factory=dict)
    ack_ms: list[float] = Field(default_factory=list)
    recovery_seconds: list[float] = Field(default_factory=list)
    figures: dict[str, float] = Field(default_factory=dict)
    problems: list[str] = Field(default_factory=list)

    @property
    def failures(self) -> int:
        """How many questions went wrong."""
        return self.lost + self.untold + self.doubled + self.unfinished + self.out_of_order

    @property
    def holds(self) -> bool:
        return not self.failures and not self.problems

    def in_words(self) -> str:
        """One line for the terminal."""
        counted = {
            name: getattr(self, name)
            for name in (
                "asked",
                "answered",
                "noticed",
                "lost",
                "doubled",
                "unfinished",
                "out_of_order",
                "untold",
            )
        }
        facts = [f"{name} {value}" for name, value in counted.items() if value or name in ("asked", "lost")]
        facts += [f"{name} {value:g}" for name, value in (*self.faults.items(), *self.figures.items())]
        verdict = "holds" if self.holds else "FAILS"
        line = f"{self.scenario} seed {self.seed}: {verdict} in {self.seconds:.1f} s; {', '.join(facts)}"
        return "\n  ".join((line, *self.problems))


class Summary(BaseModel):
    """All outcomes of one scenario taken together."""

    scenario: str
    seeds: int
    asked: int
    answered: int
    noticed: int
    lost: int
    doubled: int
    unfinished: int
    out_of_order: int
    untold: int
    seconds: float
    faults: dict[str, int]
    ack_ms: list[float]
    recovery_seconds: list[float]
    figures: dict[str, list[float]]
    problems: list[str]
    revisions: list[str]
    brief: bool


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """The sums; the lists joined. There must be at least one."""
    faults: Counter[str] = Counter()
    figures: dict[str, list[float]] = {}
    for outcome in outcomes:
        faults.update(outcome.faults)
        for name, value in outcome.figures.items():
            figures.setdefault(name, []).append(value)
    return Summary(
        scenario=outcomes[0].scenario,
        seeds=len(outcomes),
        asked=sum(outcome.asked for outcome in outcomes),
        answered=sum(outcome.answered for outcome in outcomes),
        noticed=sum(outcome.noticed for outcome in outcomes),
        lost=sum(outcome.lost for outcome in outcomes),
        doubled=sum(outcome.doubled for outcome in outcomes),
        unfinished=sum(outcome.unfinished for outcome in outcomes),
        out_of_order=sum(outcome.out_of_order for outcome in outcomes),
        untold=sum(outcome.untold for outcome in outcomes),
        seconds=sum(outcome.seconds for outcome in outcomes),
        faults=dict(faults),
        ack_ms=[value for outcome in outcomes for value in outcome.ack_ms],
        recovery_seconds=[value for outcome in outcomes for value in outcome.recovery_seconds],
        figures=figures,
        problems=[f"seed {o.seed}: {problem}" for o in outcomes for problem in o.problems],
        brief=any(outcome.brief for outcome in outcomes),
        revisions=sorted({outcome.revision for outcome in outcomes if outcome.revision}),
    )


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all values do not exceed. There must be at least one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Results:
    """A folder with one file of lines for each scenario."""

    def __init__(self, folder: Path = RESULTS) -> None:
        self._folder = folder

    def keep(self, outcome: Outcome) -> None:
        """Add it at once, so that a run that is cut short loses nothing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._file(outcome.scenario).open("a") as file:
            file.write(outcome.model_dump_json() + "\n")

    def of(self, scenario: str) -> list[Outcome]:
        """The newest outcome of each seed, by seed."""
        if not self._file(scenario).exists():
            return []
        lines = self._file(scenario).read_text().splitlines()
        newest = {outcome.seed: outcome for outcome in map(Outcome.model_validate_json, lines)}
        return [newest[seed] for seed in sorted(newest)]

    def forget(self, scenario: str) -> None:
        """Begin anew."""
        self._file(scenario).unlink(missing_ok=True)

    def _file(self, scenario: str) -> Path:
        return self._folder / f"{scenario}.jsonl"

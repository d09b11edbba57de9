"""docs/reliability.md, written from kept outcomes: no figure in it comes from anywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.outcome import Results, Summary, percentile, summarise
from tests.chaos.suite import SCENARIOS, Scenario
from tests.chaos.world import LEASE_SECONDS

PAGE = Path("docs/reliability.md")

HEAD = """\
# Reliability

What becomes of people's questions when processes die, Postgres goes away and connections break? `make chaos` \
answers that on your machine, with real replicas (`threadlore serve` processes), a real Postgres, and loopback \
servers that speak Slack's and Discord's protocols to the platforms' own libraries. It breaks things at random \
from a seed, counts what people would see on the platform, and writes this page. Every figure below was counted \
in such a run, by the command beside it.

Counted are questions, at the platform: **lost** is a question that the platform was told we have and that ended \
in nothing; **twice** is a visible message beyond one for a question; **half** is half-written text that stayed; \
**order** is an answer that stands below one to a later question of its thread.
"""

NOT_SHOWN = """\
## What was not shown

- Real platforms. The loopback servers know the documented rules, limits and errors, not what is undocumented.
- A machine or a disk that dies. All processes ran on one machine; Postgres was stopped and crashed, its disk never.
- A standby that takes over from Postgres, and a database far away.
- Time. Leases were shortened to {lease:g} s (6 s where Postgres was stopped again and again; not in L1) and Slack's retries \
from minutes to seconds; nothing ran for days.
- Search and a real model. Questions were embedded by the loopback provider, and the model's answers were made up.
- Hours without any way in, where N4 has minutes.
- What failed before it was mended. The newest outcome of each seed counts here: a scenario that failed was run again after the mending, and its earlier outcome is gone.
- A rate of zero. No failure in n tries shows, with 95 % confidence, only that fewer than 3 in n fail.
"""


OTHERWISE = (
    ("a question that kills the process it is answered in", "tests/crash/test_poison.py"),
    ("SIGKILL between any two steps of the road", "tests/crash/test_kills.py"),
    (
        "two processes with one Discord token, the owner stopped or killed",
        "tests/crash/test_discord_owner.py",
    ),
    (
        "outages that the platforms tell nothing of, found in the histories",
        "tests/platforms/slack/test_slack_gaps.py",
    ),
    ("the same on Discord, from stored positions", "tests/platforms/discord/test_discord_gaps.py"),
    (
        "429 with Retry-After, 5xx, silence, cuts, drips, malformed and empty streams",
        "tests/unit/core/test_troubled_providers.py",
    ),
    ("what people see of a model in trouble", "tests/acceptance/test_troubled_models.py"),
    ("a budget wanted by more turns than it pays, on several processes", "tests/contracts/test_budget.py"),
    ("Langfuse down, slow and back", "tests/acceptance/test_langfuse_away.py"),
    ("a worker pool that is fully held while events arrive", "tests/integration/test_database.py"),
    (
        "migrations under traffic, from every release, by five processes, half done",
        "tests/migrations/test_released.py",
    ),
    ("edits, deletions and what derives from them", "tests/acceptance/test_deletion_stories.py"),
    ("unsigned, late, repeated and foreign requests", "tests/platforms/slack/test_slack_signatures.py"),
    ("previews, repetitions, other bots, our own messages", "tests/platforms/slack/test_slack_silence.py"),
    ("tokens that expire, renewed by several processes", "tests/platforms/slack/test_slack_rotation.py"),
    ("permissions and tokens that are taken away", "tests/platforms/discord/test_discord_refusals.py"),
    ("the mistakes of operators that `threadlore doctor` finds", "tests/integration/mistakes"),
)
"""Faults that `make chaos` does not repeat, and the tests that `make test` runs for them."""


def render_page(results: Results) -> str:
    """The page for everything that has an outcome."""
    shown = [(scenario, summarise(kept)) for scenario in SCENARIOS if (kept := results.of(scenario.name))]
    if not shown:
        raise LookupError("there are no outcomes yet: run the scenarios first")
    return "\n".join(
        (
            HEAD,
            *_what_was_counted(shown),
            *_times(shown),
            *_acknowledgements(shown),
            *_failures(shown),
            *_shown_otherwise(),
            NOT_SHOWN.format(lease=LEASE_SECONDS),
            *_how_to_repeat(shown),
        )
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(map(str, line))} |" for line in lines), ""]


def _what_was_counted(shown: Sequence[tuple[Scenario, Summary]]) -> list[str]:
    rows = []
    for scenario, summary in shown:
        faults = ", ".join(f"{number:,} {name}" for name, number in summary.faults.items() if number)
        rows.append(
            (
                scenario.name,
                scenario.fault,
                f"{summary.seeds}",
                faults or "none",
                f"{summary.asked:,}",
                summary.lost + summary.untold,
                summary.doubled,
                summary.unfinished,
                summary.out_of_order,
                summary.noticed,
                "" if _failed(summary) or summary.asked < 30 else f"1 in {summary.asked // 3:,}",
            )
        )
    asked = sum(summary.asked for _, summary in shown)
    failed = sum(_failed(summary) for _, summary in shown)
    head = ("", "What was done", "Seeds", "Faults", "Questions", "Lost", "Twice", "Half", "Order", "Notices")
    verdict = [
        f"{asked:,} questions in all, {failed or 'none'} of them went wrong. The last column says, with 95 % "
        "confidence, below which rate failures stay where none was seen: three in the number of questions."
    ]
    return ["## Under each fault", "", *_table((*head, "Below"), rows), *verdict, ""]


def _failed(summary: Summary) -> int:
    return summary.lost + summary.untold + summary.doubled + summary.unfinished + summary.out_of_order


def _times(shown: Sequence[tuple[Scenario, Summary]]) -> list[str]:
    rows = [
        (
            scenario.name,
            f"{percentile(summary.recovery_seconds, 0.5):.1f} s",
            f"{max(summary.recovery_seconds):.1f} s",
            "; ".join(f"{name}: {max(values):g}" for name, values in summary.figures.items()),
        )
        for scenario, summary in shown
        if summary.recovery_seconds
    ]
    head = ("", "Median", "Longest", "Also measured (the highest)")
    text = "From the last fault until the last question asked has its whole answer:"
    return ["## How long recovery takes", "", text, "", *_table(head, rows)]


def _acknowledgements(shown: Sequence[tuple[Scenario, Summary]]) -> list[str]:
    rows = [
        (
            scenario.name,
            scenario.fault,
            len(summary.ack_ms),
            *(f"{percentile(summary.ack_ms, share):.0f} ms" for share in (0.5, 0.95, 0.99, 1.0)),
        )
        for scenario, summary in shown
        if summary.ack_ms
    ]
    if not rows:
        return []
    head = ("", "While", "Events", "Median", "95 %", "99 %", "Longest")
    return ["## How fast events are acknowledged", "", *_table(head, rows)]


def _failures(shown: Sequence[tuple[Scenario, Summary]]) -> list[str]:
    problems = [f"- {summary.scenario}, {problem}" for _, summary in shown for problem in summary.problems]
    return ["## What did not hold", "", *(problems or ["Nothing that was looked at."]), ""]


def _shown_otherwise() -> list[str]:
    rows = [(what, f"`{test}`") for what, test in OTHERWISE]
    text = "These faults have tests of their own, which `make test` runs; they pass or fail, and print no figure:"
    return ["## Shown by tests", "", text, "", *_table(("Fault", "Test"), rows)]


def _how_to_repeat(shown: Sequence[tuple[Scenario, Summary]]) -> list[str]:
    revisions = sorted({revision for _, summary in shown for revision in summary.revisions})
    minutes = sum(summary.seconds for _, summary in shown) / 60
    rows = [(scenario.name, scenario.must_hold, f"`{_command(summary)}`") for scenario, summary in shown]
    return [
        "## How to repeat this",
        "",
        f"`make chaos` runs everything; that took {minutes:.0f} minutes, at {', '.join(revisions)}. Parts can be "
        "run again alone: outcomes are kept in `.chaos`, a newer one takes the place of an older one with the same "
        "seed, and this page is written from all of them.",
        "",
        *_table(("", "What must hold", "Command"), rows),
    ]


def _command(summary: Summary) -> str:
    """What prints these figures."""
    if summary.brief:
        return f".venv/bin/python -m tests.chaos --brief --only {summary.scenario} --seeds {summary.seeds}"
    return f"make chaos ONLY={summary.scenario} SEEDS={summary.seeds}"

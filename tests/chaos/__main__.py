"""`make chaos`: every scenario at its whole scale, or those that are named; then docs/reliability.md.

python -m tests.chaos                          everything, begun anew
python -m tests.chaos --resume                 what has no outcome yet
python -m tests.chaos --only C2 --seeds 50     some scenarios, with fewer seeds; the others stay as they were
python -m tests.chaos --page                   only write the page, from what is kept
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence

from tests.chaos.outcome import Outcome, Results
from tests.chaos.page import PAGE, render_page
from tests.chaos.suite import SCENARIOS, Scenario, recount, run_once, world_for
from tests.chaos.world import World


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--seeds", type=int, help="how many seeds instead of the scenario's own number")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--brief", action="store_true", help="the scale of `make test`")
    parser.add_argument("--resume", action="store_true", help="leave out seeds that have an outcome")
    parser.add_argument("--page", action="store_true", help="run nothing; write the page from what is kept")
    return parser.parse_args()


def find_revision() -> str:
    """The commit that is measured, with a plus where files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=10"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()


async def run_scenario(scenario: Scenario, seeds: Sequence[int], results: Results, *, brief: bool) -> bool:
    """All seeds, in one world as long as nothing goes wrong in it. Whether everything held."""
    left, held = list(seeds), True
    while left:
        try:
            async with world_for(scenario) as world:
                held &= await _run_in(world, scenario, left, results, brief=brief)
        except (AssertionError, OSError, RuntimeError, TimeoutError) as error:
            held = False
            problem = f"no cluster for it: {type(error).__name__}: {str(error)[:300]}"
            if left:  # else the cluster did not go down well, after everything was counted
                results.keep(Outcome(scenario=scenario.name, seed=left.pop(0), problems=[problem]))
            say(problem)
    return held


async def _run_in(
    world: World, scenario: Scenario, left: list[int], results: Results, *, brief: bool
) -> bool:
    """Seed after seed until one has a problem that may have harmed the world; then count everything again."""
    revision, runs, held = find_revision(), list[tuple[Outcome, int]](), True
    while left:
        begun = len(world.crowds)
        outcome = await run_once(scenario, world, left.pop(0), brief=brief, revision=revision)
        runs.append((outcome, begun))
        results.keep(outcome)
        say(outcome.in_words())
        if outcome.problems:
            break
    ends = [begun for _, begun in runs[1:]] + [len(world.crowds)]
    for (outcome, begun), end in zip(runs, ends, strict=True):
        latest = recount(outcome, world.crowds[begun:end]) if begun < end else outcome
        if latest != outcome:
            say(f"seen later: {latest.in_words()}")
            results.keep(latest)
        held &= latest.holds
    return held


async def main() -> int:
    arguments, results = read_arguments(), Results()
    chosen = [s for s in SCENARIOS if arguments.only is None or s.name in arguments.only]
    held = True
    for scenario in chosen if not arguments.page else ():
        if arguments.only is None and not arguments.resume:
            results.forget(scenario.name)
        number = arguments.seeds or (scenario.brief_seeds if arguments.brief else scenario.whole_seeds)
        seeds = range(arguments.first_seed, arguments.first_seed + number)
        known = {outcome.seed for outcome in results.of(scenario.name)} if arguments.resume else set()
        say(f"{scenario.name}: {scenario.fault}")
        held &= await run_scenario(
            scenario, [seed for seed in seeds if seed not in known], results, brief=arguments.brief
        )
    PAGE.write_text(render_page(results))
    say(f"{PAGE} is written.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

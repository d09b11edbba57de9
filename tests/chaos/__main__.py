"""`make chaos`: every scenario at its whole scale, or those that are named; then docs/reliability.md.

python -m tests.chaos                          everything, begun anew
python -m tests.chaos --resume                 what has no outcome yet
python -m tests.chaos --only C2 --seeds 50     some scenarios, with fewer seeds; the others stay as they were
python -m tests.chaos --page                   only write the page, from what is kept
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.chaos.outcome import RESULTS, Outcome, Results
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


Runs = list[tuple[Scenario, int]]
"""What is left to do: scenarios with a seed each."""


async def run_group(left: Runs, results: Results, *, brief: bool, revision: str) -> bool:
    """All of it, in one world as long as nothing goes wrong there. Whether everything held."""
    held = True
    while left:
        try:
            async with world_for(left[0][0], brief=brief) as world:
                held &= await _run_in(world, left, results, brief=brief, revision=revision)
        except (AssertionError, OSError, RuntimeError, TimeoutError) as error:
            held = False
            problem = f"no cluster for it: {type(error).__name__}: {str(error)[:300]}"
            if left:  # else the cluster did not go down well, after everything was counted
                scenario, seed = left.pop(0)
                results.keep(Outcome(scenario=scenario.name, seed=seed, problems=[problem]))
            say(problem)
    return held


def keep_logs(world: World, outcome: Outcome) -> Path:
    """Copy what the replicas said, for whoever looks for the cause; the folder."""
    folder = RESULTS / "logs" / f"{outcome.scenario}-{outcome.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for log in world.installation.folder.glob("serve-*.log"):
        shutil.copy(log, folder)
    return folder


async def _run_in(world: World, left: Runs, results: Results, *, brief: bool, revision: str) -> bool:
    """One after the other until one has a problem that may have harmed the world; then count all again."""
    done, held = list[tuple[Outcome, int]](), True
    while left:
        begun = len(world.crowds)
        scenario, seed = left.pop(0)
        outcome = await run_once(scenario, world, seed, brief=brief, revision=revision)
        done.append((outcome, begun))
        results.keep(outcome)
        say(outcome.in_words())
        if not outcome.holds:
            say(f"the replicas' logs are in {keep_logs(world, outcome)}")
        if outcome.problems:
            break
    ends = [begun for _, begun in done[1:]] + [len(world.crowds)]
    for (outcome, begun), end in zip(done, ends, strict=True):
        latest = recount(outcome, world.crowds[begun:end]) if begun < end else outcome
        if latest != outcome:
            say(f"seen later: {latest.in_words()}")
            results.keep(latest)
        held &= latest.holds
    return held


def plan_runs(arguments: argparse.Namespace, results: Results) -> list[Runs]:
    """What is to be done, in groups that one world can serve."""
    groups: dict[object, Runs] = {}
    for scenario in SCENARIOS:
        if arguments.only is not None and scenario.name not in arguments.only:
            continue
        if arguments.only is None and not arguments.resume:
            results.forget(scenario.name)
        own = scenario.brief_seeds if arguments.brief else scenario.whole_seeds
        number = (arguments.seeds or own) if own else 0
        known = {outcome.seed for outcome in results.of(scenario.name)} if arguments.resume else set()
        world = (scenario.roles, () if arguments.brief else scenario.settings)
        seeds = range(arguments.first_seed, arguments.first_seed + number)
        groups.setdefault(world, []).extend((scenario, seed) for seed in seeds if seed not in known)
    return list(groups.values())


def allow_many_connections() -> None:
    """All that this process may have: with 1,500 calls of a model at once the loopback world alone needs more than
    the 1,024 descriptors that most machines give without being asked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def main() -> int:
    arguments, results = read_arguments(), Results()
    held, revision = True, find_revision()  # replicas are forked from what is imported once, now
    for group in plan_runs(arguments, results) if not arguments.page else ():
        held &= await run_group(group, results, brief=arguments.brief, revision=revision)
    PAGE.write_text(render_page(results))
    say(f"{PAGE} is written.")
    return 0 if held else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it early leaves nothing running
    allow_many_connections()
    sys.exit(asyncio.run(main()))

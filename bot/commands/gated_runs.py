"""What `eval retrieval`, `eval answers` and `eval rewriting` share: measure, keep the run, hold it against a baseline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel

from bot.commands.evaluation_runs import fail_if_worse, find_baseline, keep_run
from bot.commands.running import run_command, write_json

if TYPE_CHECKING:
    from core.evaluation.comparing import Comparison
    from core.evaluation.datasets import Dataset
    from core.evaluation.records import RunKind, RunRecord
    from core.settings import CoreSettings

Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """`values`: each metric by question id. `embedder`: None where nothing was searched."""

    result: Result
    values: Mapping[str, Mapping[str, float]]
    embedder: str | None


@dataclass(frozen=True)
class GatedRun(Generic[Result]):
    """A run that is kept, and how it compares with the baseline, if there is one."""

    result: Result
    record: RunRecord
    comparison: Comparison | None

    def show(self, describe: Callable[[Result], None], *, as_json: bool) -> None:
        """Print it. Raises SystemExit when it is worse than the baseline."""
        if as_json:
            write_json({**self.result.model_dump(mode="json"), "run": self.record.id})
        else:
            describe(self.result)
        fail_if_worse(self.comparison)


def run_gated(
    kind: RunKind,
    read: Callable[[], Dataset],
    measure: Callable[[CoreSettings, Dataset], Awaitable[Measured[Result]]],
    *,
    asked: Mapping[str, str | int | None],
    split: str | None,
    name: str | None,
    fail_below: str | None,
) -> GatedRun[Result]:
    """The baseline `fail_below` is looked up before the long work begins."""

    async def work(settings: CoreSettings) -> GatedRun[Result]:
        from core.evaluation.comparing import compare_runs

        data = read()
        data_hash = data.fingerprint()
        before = find_baseline(settings, fail_below, data_hash)
        measured = await measure(settings, data)
        record = keep_run(
            settings,
            kind,
            measured.values,
            dataset=data.name,
            dataset_hash=data_hash,
            embedder=measured.embedder,
            asked=asked,
            split=split,
            name=name,
        )
        return GatedRun(measured.result, record, compare_runs(before, record) if before else None)

    return run_command(work)

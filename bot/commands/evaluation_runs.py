"""Evaluation runs are kept, listed and held against each other: `eval runs`, `eval compare` and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.running import FAILED, run_command, tell, write_json, write_line

if TYPE_CHECKING:
    from bot.bootstrap import Library
    from bot.commands.progress import Show
    from core.evaluation.collection import Workbench
    from core.evaluation.comparing import Comparison, MetricComparison
    from core.evaluation.records import RunFolder, RunKind, RunRecord, Setting
    from core.ports import Task
    from core.settings import CoreSettings

STEPS = {"ingest": "Taking the documents in", "search": "Searching", "ask": "Asking"}
WORDS = {
    "better": "better",
    "worse": "worse",
    "same": "the same for every question",
    "undecided": "the data cannot tell",
}


def open_runs(settings: CoreSettings) -> RunFolder:
    """Where the runs of this installation are kept."""
    from core.evaluation.records import RunFolder

    return RunFolder(settings.threadlore_home / "evaluations")


def open_workbench(library: Library, show: Show) -> Workbench:
    """What a run works with here: slicing as the settings say, and an embedder that need not embed the same corpus
    again in the next run."""
    from core.evaluation.collection import Workbench
    from core.evaluation.kept_vectors import KeepingEmbedder
    from core.knowledge.chunking import ChunkingPolicy

    settings = library.stores.settings
    return Workbench(
        library.stores.knowledge_store,
        KeepingEmbedder(library.embedder, settings.threadlore_home / "evaluations" / "vectors"),
        policy=ChunkingPolicy(strategy=settings.chunking),
        exclusively=library.stores.exclusive.exclusively,
        on_progress=lambda now: show(now.done, now.total, STEPS[now.step]),
    )


def keep_run(
    settings: CoreSettings,
    kind: RunKind,
    values: Mapping[str, Mapping[str, float]],
    *,
    dataset: str,
    dataset_hash: str,
    embedder: str | None,
    asked: Mapping[str, str | int | None],
    split: str | None = None,
    name: str | None = None,
) -> RunRecord:
    """Store a run with the settings and the prompts that produced it. `embedder`: None where nothing was searched."""
    from core.evaluation.records import make_record
    from core.graph.prompts import load_prompt

    prompts = _prompts_read(kind, asked)
    made_with = {**(_search_settings(settings, embedder) if embedder else {}), **asked}
    if prompts:
        made_with["chat_model"] = ", ".join(
            (settings.chat_model or "extractive", *settings.chat_model_fallbacks)
        )
    record = make_record(
        kind,
        values,
        dataset=dataset,
        dataset_hash=dataset_hash,
        version=version("threadlore"),
        settings=made_with,
        split=split,
        prompts=tuple(load_prompt(task).id for task in prompts),
        name=name,
    )
    tell(f"Kept as {open_runs(settings).keep(record)}")
    return record


def _search_settings(settings: CoreSettings, embedder: str) -> dict[str, Setting]:
    from core.knowledge.chunking import ChunkingPolicy
    from core.knowledge.search_policy import SearchPolicy

    chunking = ChunkingPolicy(strategy=settings.chunking).model_dump(mode="json")
    return {
        "embedder": embedder,
        "reranker": settings.reranker_model or settings.reranker_url,
        **{f"search.{knob}": value for knob, value in SearchPolicy().model_dump().items()},
        **{f"chunking.{knob}": value for knob, value in chunking.items()},
    }


def _prompts_read(kind: RunKind, asked: Mapping[str, str | int | None]) -> tuple[Task, ...]:
    """The tasks whose prompts have a part in what is measured."""
    if kind == "rewriting":
        return ("rewrite",)
    return ("rewrite", "answer") if kind == "answers" or asked.get("query") == "history" else ()


def find_baseline(settings: CoreSettings, reference: str | None, dataset_hash: str) -> RunRecord | None:
    """The run to be held against, looked up before the long work begins. Raises DatasetError."""
    from core.errors import DatasetError

    if reference is None:
        return None
    record = open_runs(settings).find(reference)
    if record.dataset_hash != dataset_hash:
        raise DatasetError(f"{record.id} was measured on other data. Make a new baseline with this data set.")
    return record


def fail_if_worse(comparison: Comparison | None) -> None:
    """Says on stderr what has changed; exits 1 when a metric has fallen by more than its noise."""
    if comparison is None:
        return
    for line in _lines(comparison):
        tell(line)
    _leave_if_worse(comparison)


def compare(first: str, second: str, *, gate: bool, plot: Path | None, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> tuple[Comparison, RunRecord, RunRecord]:
        from core.evaluation.comparing import compare_runs

        runs = open_runs(settings)
        one, other = runs.find(first), runs.find(second)
        return compare_runs(one, other), one, other

    comparison, one, other = run_command(work)
    if as_json:
        write_json(comparison.model_dump(mode="json"))
    else:
        for line in _lines(comparison):
            write_line(line)
    if plot is not None:
        write_plot(
            plot, f"{one.dataset}: {one.kind}", {one.name or one.id: one, other.name or other.id: other}
        )
    if gate:
        _leave_if_worse(comparison)


def list_runs(*, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> list[RunRecord]:
        return open_runs(settings).runs()

    records = run_command(work)
    if as_json:
        write_json([record.model_dump(mode="json", exclude={"values"}) for record in records])
        return
    if not records:
        tell(
            "No run has been kept yet: threadlore eval retrieval, rewriting, answers and chunking keep theirs."
        )
    for record in records:
        figures = "  ".join(f"{metric} {value:.3f}" for metric, value in record.figures.items())
        write_line(f"{record.id}{f' ({record.name})' if record.name else ''}")
        write_line(f"  {record.at:%Y-%m-%d %H:%M} UTC  {figures}")


def write_plot(path: Path, title: str, records: Mapping[str, RunRecord]) -> None:
    """The figures of runs side by side, as an SVG picture."""
    from core.evaluation.plots import Group, Point, render_plot

    metrics = dict.fromkeys(metric for record in records.values() for metric in record.figures)
    groups = [
        Group(
            label=metric,
            points=tuple(
                Point(
                    series=label,
                    value=record.figures[metric],
                    low=record.intervals[metric].low,
                    high=record.intervals[metric].high,
                )
                for label, record in records.items()
                if metric in record.figures
            ),
        )
        for metric in metrics
    ]
    write_file(path, render_plot(title, groups))


def write_file(path: Path, content: str) -> None:
    """What was asked for as a file; exits 1 where it cannot be written."""
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        tell(f"threadlore: the file cannot be written: {path}: {error.strerror}.")
        raise SystemExit(FAILED) from error


def _lines(comparison: Comparison) -> list[str]:
    lines = [f"{comparison.dataset}: {comparison.second} against {comparison.first}"]
    for metric in comparison.metrics:
        lines.append(
            f"  {metric.metric:<22} {metric.first:.4f} → {metric.second:.4f}  {describe_difference(metric)}"
        )
    for name, (before, after) in comparison.settings.items():
        lines.append(f"  {name}: {before} → {after}")
    return lines


def describe_difference(metric: MetricComparison) -> str:
    """The difference with its interval and the verdict in words."""
    low, high = metric.difference.interval.low, metric.difference.interval.high
    said = f"{metric.difference.mean:+.4f} (95%: {low:+.4f} to {high:+.4f})  {WORDS[metric.verdict]}"
    if metric.verdict != "undecided":
        return said
    return f"{said}: {metric.questions} questions tell differences from about {metric.tells_from:.3f}"


def _leave_if_worse(comparison: Comparison) -> None:
    if comparison.worse:
        fallen = ", ".join(metric.metric for metric in comparison.worse)
        tell(f"threadlore: worse than {comparison.first} by more than chance: {fallen}")
        raise SystemExit(FAILED)

"""`threadlore eval …`: the commands that measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli_options import AsJson, FailBelow, Plot, QueryForm, RunName, Strategy

evaluations = typer.Typer(
    help="Measure search, rewriting, answers and chunking, and compare runs.", no_args_is_help=True
)


@evaluations.command("retrieval")
def eval_retrieval(
    dataset: Annotated[Path, typer.Argument(help="A folder in BEIR's format.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="The depth of recall and precision.")] = 10,
    split: Annotated[str | None, typer.Option(help="The split of the data set, for example test.")] = None,
    query: Annotated[
        QueryForm, typer.Option(help="Search with the text, its rewrite, or the turns before it.")
    ] = QueryForm.text,
    name: RunName = None,
    fail_below: FailBelow = None,
    as_json: AsJson = False,
) -> None:
    """Measure the search: recall@k, precision@k, MRR and nDCG@10."""
    from bot.commands.evaluating import eval_retrieval

    eval_retrieval(
        dataset, k=k, split=split, query=query.value, name=name, fail_below=fail_below, as_json=as_json
    )


@evaluations.command("rewriting")
def eval_rewriting(
    dataset: Annotated[
        Path,
        typer.Argument(help="A folder whose queries.jsonl has turns before the questions, and rewrites."),
    ],
    split: Annotated[
        str | None, typer.Option(help="The split or year of the data set, for example test or 2020.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions at the same time.")] = 4,
    name: RunName = None,
    fail_below: FailBelow = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well follow-ups are rewritten, without a search."""
    from bot.commands.evaluating_rewriting import eval_rewriting

    eval_rewriting(
        dataset, split=split, concurrency=concurrency, name=name, fail_below=fail_below, as_json=as_json
    )


@evaluations.command("answers")
def eval_answers(
    dataset: Annotated[Path, typer.Argument(help="A folder in BEIR's format, with answers.")],
    split: Annotated[str | None, typer.Option(help="The split of the data set, for example test.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Only the questions marked as the sample.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions at the same time.")] = 4,
    name: RunName = None,
    fail_below: FailBelow = None,
    as_json: AsJson = False,
) -> None:
    """Measure whole answers: abstention, content and citations."""
    from bot.commands.evaluating import eval_answers

    eval_answers(
        dataset,
        split=split,
        sample=sample,
        concurrency=concurrency,
        name=name,
        fail_below=fail_below,
        as_json=as_json,
    )


@evaluations.command("calibrate")
def eval_calibrate(
    dataset: Annotated[
        Path, typer.Argument(help="A folder in BEIR's format that says which questions can be answered.")
    ],
    split: Annotated[str | None, typer.Option(help="The split of the data set, for example test.")] = None,
    off_topic: Annotated[
        list[Path] | None,
        typer.Option(help="A set whose questions these documents cannot answer; can be repeated."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Ask only every n-th question of a large set.")] = 1,
    weights: Annotated[Path | None, typer.Option(help="Write what was fitted to this file, as JSON.")] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Fit when to abstain on half of a set, and measure it on the other half."""
    from bot.commands.calibrating import eval_calibrate

    eval_calibrate(
        dataset,
        split=split,
        off_topic=off_topic or [],
        every=every,
        weights=weights,
        plot=plot,
        as_json=as_json,
    )


@evaluations.command("chunking")
def eval_chunking(
    documents: Annotated[Path, typer.Argument(help="A folder or an archive of documents.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="The depth of recall and precision.")] = 10,
    strategy: Annotated[
        list[Strategy] | None, typer.Option(help="Only this one; can be repeated. All, without any.")
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Measure the ways of chunking side by side on your documents."""
    from bot.commands.evaluating_chunking import eval_chunking

    eval_chunking(
        documents, k=k, strategies=[each.value for each in strategy or []], plot=plot, as_json=as_json
    )


@evaluations.command("compare")
def eval_compare(
    first: Annotated[str, typer.Argument(help="A run: its id, its name, or a file.")],
    second: Annotated[str, typer.Argument(help="The run to hold against it.")],
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit 1 if the second is worse on any metric, beyond chance.")
    ] = False,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Say which of two runs is better, and whether the data can tell."""
    from bot.commands.evaluation_runs import compare

    compare(first, second, gate=gate, plot=plot, as_json=as_json)


@evaluations.command("runs")
def eval_runs(as_json: AsJson = False) -> None:
    """List the runs that were kept."""
    from bot.commands.evaluation_runs import list_runs

    list_runs(as_json=as_json)

"""Options that several commands share, and the values that some may take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunName = Annotated[str | None, typer.Option("--name", help="Keep the run under this name.")]
FailBelow = Annotated[
    str | None,
    typer.Option(help="Exit 1 if a metric falls below this run's (id, name or file), beyond chance."),
]
Plot = Annotated[Path | None, typer.Option(help="Write the figures as an SVG picture to this file.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")]

ItemId = Annotated[int, typer.Argument(help="The number that `threadlore inbox list` shows.")]
ItemIds = Annotated[list[int], typer.Argument(help="The numbers that `threadlore inbox list` shows.")]
CheckNames = Annotated[
    list[str] | None, typer.Argument(metavar="[CHECK]...", help="Only these checks, such as slack or models.")
]


class Role(StrEnum):
    all = "all"
    ingress = "ingress"
    worker = "worker"


class Strategy(StrEnum):
    """The names of core.knowledge.chunking.ChunkingStrategy."""

    structure = "structure"
    recursive = "recursive"
    code = "code"
    conversation = "conversation"
    small_to_big = "small-to-big"


class Chunking(StrEnum):
    """The same, and the way back to the default."""

    structure = "structure"
    recursive = "recursive"
    code = "code"
    conversation = "conversation"
    small_to_big = "small-to-big"
    default = "default"


class QueryForm(StrEnum):
    text = "text"
    rewrite = "rewrite"
    history = "history"

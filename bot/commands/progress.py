"""A progress bar on stderr, when a person is looking at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[int, int | None, str], None]
"""How many are done, of how many (None: not known), and what is being worked on."""


@contextmanager
def open_progress(title: str) -> Iterator[Show]:
    """A bar that disappears at the end; nothing at all where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[title]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[what]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, title=title, what="")

        def show(done: int, total: int | None, what: str) -> None:
            bar.update(task, completed=done, total=total, what=what[-60:].replace("[", "\\["))

        yield show

"""How an answer looks in a terminal, in a pipe and to a program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bot.asking import Answered, Progress
from bot.mailbox import StatusShown, TextWritten

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def render_json(answered: Answered) -> dict[str, object]:
    """The shape that other programs read from `ask --json`."""
    answer = answered.answer
    return {
        "answer": answer.text,
        "citations": [
            {"n": citation.n, "title": citation.title, "uri": citation.uri, "quote": citation.quote}
            for citation in answer.citations
        ],
        "abstained": answer.abstained,
        "reason": answer.reason,
        "turn_id": str(answered.turn_id),
        "trace_id": answered.trace_id,
    }


def render_plain(answered: Answered) -> str:
    """The answer with its sources, without any colour."""
    lines = [answered.answer.text]
    if answered.answer.citations:
        lines.append("")
        lines += [f"[{c.n}] {c.title}: {c.uri}" for c in answered.answer.citations]
    return "\n".join(lines)


async def show_live(steps: AsyncIterator[Progress], console: Console) -> Answered:
    """Show a turn on a terminal as it grows; the whole answer stays, with its sources."""
    from rich.live import Live
    from rich.markdown import Markdown
    from rich.spinner import Spinner

    answered: Answered | None = None
    # What is shown while it grows is taken away at the end: an answer longer than the screen would
    # otherwise leave torn pieces behind.
    with Live(
        Spinner("dots", "looking it up…"), console=console, transient=True, refresh_per_second=12
    ) as live:
        async for step in steps:
            if isinstance(step, StatusShown) and step.text:
                live.update(Spinner("dots", step.text))
            elif isinstance(step, TextWritten):
                live.update(_tail(Markdown(step.text_so_far), console))
            elif isinstance(step, Answered):
                answered = step
    assert answered is not None  # noqa: S101 - the steps end with it or raise
    print_answer(answered, console)
    return answered


def print_answer(answered: Answered, console: Console) -> None:
    """The final form on a terminal."""
    from rich.markdown import Markdown
    from rich.text import Text

    answer = answered.answer
    if answered.outcome in ("failed", "refused"):
        console.print(Text(answer.text, style="yellow"))
        return
    console.print(Markdown(answer.text, hyperlinks=False))
    if answer.citations:
        console.print()
        for citation in answer.citations:
            console.print(
                Text.assemble((f"[{citation.n}] ", "bold cyan"), citation.title, "  ", (citation.uri, "dim")),
                soft_wrap=True,
            )
    elif answer.abstained:
        console.print(Text("No source in the documents.", style="dim"))


def _tail(renderable: RenderableType, console: Console) -> RenderableType:
    """The last lines that fit on the screen: the end is where the news is."""
    from rich.segment import Segment, Segments

    lines = console.render_lines(renderable, pad=False)
    shown = lines[-max(4, console.height - 2) :]
    return Segments([segment for line in shown for segment in (*line, Segment.line())])

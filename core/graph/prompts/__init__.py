"""The prompts: one Markdown file each, with a version that every turn records.

The id of a prompt is `name@version-hash`; the hash is of its text, so that a change without a new
version still shows in the record.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from core.answers import Memory, Passage
from core.messages import Frozen

PLACEHOLDER = re.compile(r"\{(memory|passages|question)\}")


class Prompt(Frozen):
    """A prompt as it stands in its file. `user` holds {memory}, {passages}, {question}."""

    id: str
    system: str
    user: str

    def render_user(self, *, question: str, memory: Memory, passages: Sequence[Passage] = ()) -> str:
        """The user message. Values are put in once: braces inside them mean nothing."""
        values = {
            "question": question,
            "memory": render_memory(memory),
            "passages": render_passages(passages),
        }
        return PLACEHOLDER.sub(lambda match: values[match[1]], self.user).strip()


@cache
def load_prompt(name: str) -> Prompt:
    """Read core/graph/prompts/<name>.md: a version line, then `## system` and `## user`."""
    text = (files(__package__) / f"{name}.md").read_text(encoding="utf-8")
    head, _, rest = text.partition("## system\n")
    system, _, user = rest.partition("## user\n")
    version = re.search(r"^version:\s*(\d+)\s*$", head, re.MULTILINE)
    if version is None or not system.strip() or not user.strip():
        raise ValueError(f"{name}.md needs a version line, '## system' and '## user'")
    digest = hashlib.sha256(rest.encode()).hexdigest()[:8]
    return Prompt(id=f"{name}@{version[1]}-{digest}", system=system.strip(), user=user.strip())


def render_memory(memory: Memory) -> str:
    """The conversation so far, oldest first; empty when there is none."""
    lines: list[str] = []
    if memory.summary:
        lines.append(f"What was said before, in short: {memory.summary}")
    lines.extend(f"{message.author.name or 'Somebody'}: {message.text}" for message in memory.earlier)
    for question, answer in memory.turns:
        lines.append(f"Question: {question}\nAnswer: {answer}")
    return "Conversation so far:\n\n" + "\n\n".join(lines) + "\n" if lines else ""


def render_passages(passages: Sequence[Passage]) -> str:
    """Each passage under its number, title and heading path."""
    blocks = []
    for number, passage in enumerate(passages, start=1):
        place = " › ".join((passage.title, *passage.heading_path))
        blocks.append(f"<passage number={number} from={place!r}>\n{passage.text}\n</passage>")
    return "\n\n".join(blocks)

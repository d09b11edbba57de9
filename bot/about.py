"""What this installation runs on, told at start and on the page."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from bot.web.models import About, PlatformStatus

if TYPE_CHECKING:
    from bot.bootstrap import Application

EXTRACTIVE = "extractive"
EXAMPLES = [
    "How do I connect Threadlore to Slack?",
    "How do I add our own documents?",
    "What happens when a message is deleted?",
]


def build_about(app: Application) -> About:
    """For the page and for other programs."""
    from bot.bootstrap import own_documents

    platforms = [PlatformStatus(name=name, on=True) for name in app.adapters]
    platforms += [PlatformStatus(name=name, on=False, remedy=remedy) for name, remedy in app.off.items()]
    own = app.settings.knowledge is None or own_documents() in app.settings.knowledge
    return About(
        version=version("threadlore"),
        answerer=app.models[0].name,
        embedder=app.library.reembedding.serving,
        platforms=platforms,
        examples=EXAMPLES if own else [],
    )


def describe(app: Application, role: str, address: str) -> str:
    """The lines that `serve` prints when it is ready: where to go, what is on, what is off and why."""
    about = build_about(app)
    lines = [f"Threadlore {about.version} is ready.", ""]
    if role != "worker":
        lines.append(f"  Playground   {address}/")
        for platform in about.platforms:
            if platform.name == "web":
                continue
            state = "on" if platform.on else f"off. {platform.remedy}"
            lines.append(f"  {platform.name.capitalize():<12} {state}")
    if about.answerer == EXTRACTIVE:
        lines.append("  Answers      the extractive answerer quotes your documents; no model key is needed.")
        lines.append("               Set CHAT_MODEL (for example openai:gpt-5-mini) to have answers written.")
    else:
        lines.append(f"  Answers      {', then '.join(model.name for model in app.models)}")
    lines.append(f"  Embeddings   {about.embedder}")
    if role != "all":
        lines.append(f"  Role         {role}")
    return "\n".join(lines)

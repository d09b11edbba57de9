"""The command line: names, options and help of every command. What they do is in bot/commands, imported
only when the command runs, so that help stays instant."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli_evaluations import evaluations
from bot.cli_options import (
    AsJson,
    CheckNames,
    Chunking,
    ItemId,
    ItemIds,
    Role,
    Yes,
)

app = typer.Typer(
    name="threadlore",
    help="Answers in your team's Slack and Discord, from your own documents, with citations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
manifests = typer.Typer(help="What Slack and Discord need to know about the app.", no_args_is_help=True)
forgetting = typer.Typer(help="Erase a user, a thread or a workspace.", no_args_is_help=True)
sources_app = typer.Typer(
    help="List the sources and how their last sync went; sync or remove them.", invoke_without_command=True
)
parked = typer.Typer(help="Look after what was parked, because it crashed its workers.", no_args_is_help=True)
exports = typer.Typer(help="Write turns or feedback as JSON lines.", no_args_is_help=True)
app.add_typer(evaluations, name="eval")
app.add_typer(manifests, name="manifest")
app.add_typer(forgetting, name="forget")
app.add_typer(parked, name="inbox")
app.add_typer(exports, name="export")
app.add_typer(sources_app, name="sources")


@app.command()
def serve(
    role: Annotated[Role, typer.Option(help="ingress only takes questions in, worker only answers them.")] = (
        Role.all
    ),
) -> None:
    """Run the server: HTTP, every platform whose token is set, and the workers."""
    from bot.commands.serving import serve

    serve(role.value)


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    thread: Annotated[str | None, typer.Option(help="Go on in this thread, or begin it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question."""
    from bot.commands.asking import ask

    ask(text, thread=thread, as_json=as_json)


@app.command()
def chat(
    thread: Annotated[str | None, typer.Option(help="Go on in this thread, or begin it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question after the other in the terminal, in one thread."""
    from bot.commands.asking import chat

    chat(thread=thread, as_json=as_json)


@app.command()
def ingest(
    locations: Annotated[
        list[str], typer.Argument(help="Folders, files, pages, site+…, rss+…, git+…", show_default=False)
    ],
    collection: Annotated[str, typer.Option(help="The collection that they belong to.")] = "default",
    grant: Annotated[
        list[str] | None,
        typer.Option(
            help="Who may read the collection: everyone, slack:T1 or slack:T1/C1; can be repeated. "
            "A new collection without any is for everyone."
        ),
    ] = None,
    chunking: Annotated[
        Chunking | None,
        typer.Option(help="How these sources are sliced from now on; default: as the setting CHUNKING says."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take documents in, and bring what was taken in before up to date."""
    from bot.commands.knowledge import ingest

    ingest(
        locations,
        collection=collection,
        grants=grant or [],
        chunking=chunking.value if chunking else None,
        as_json=as_json,
    )


@sources_app.callback()
def sources(context: typer.Context, as_json: AsJson = False) -> None:
    """List the sources, how their last sync went, and what could not be read."""
    if context.invoked_subcommand is None:
        from bot.commands.sources import list_sources

        list_sources(as_json=as_json)


@sources_app.command("sync")
def sync_sources(
    locations: Annotated[
        list[str] | None, typer.Argument(help="As `threadlore sources` lists them; all, without any.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sync sources now."""
    from bot.commands.sources import sync_sources

    sync_sources(locations or [], as_json=as_json)


@sources_app.command("remove")
def remove_source(
    location: Annotated[str, typer.Argument(help="As `threadlore sources` lists it.", show_default=False)],
    collection: Annotated[str | None, typer.Option(help="The collection that it is in.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove a source with everything that was read from it."""
    from bot.commands.sources import remove_source

    remove_source(location, collection=collection, yes=yes, as_json=as_json)


@sources_app.command("revoke")
def revoke_grants(
    collection: Annotated[str, typer.Argument(help="The collection.", show_default=False)],
    grant: Annotated[list[str], typer.Argument(help="As given to `ingest --grant`.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Take back who may read a collection, at once."""
    from bot.commands.sources import revoke_grants

    revoke_grants(collection, grant, as_json=as_json)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many passages.")] = 10,
    audience: Annotated[
        str | None, typer.Option("--as", help="Search as a channel may, for example slack:T1/C1.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages that a question finds."""
    from bot.commands.knowledge import search

    search(text, k=k, audience=audience, as_json=as_json)


@app.command()
def doctor(only: CheckNames = None, as_json: AsJson = False) -> None:
    """Check every setting and permission for real, and name the remedy."""
    from bot.commands.checking import doctor

    doctor(only or (), as_json=as_json)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database's schema up to date."""
    from bot.commands.checking import migrate

    migrate(as_json=as_json)


@manifests.command("slack")
def manifest_slack() -> None:
    """Print the app manifest to create the Slack app from."""
    from bot.commands.manifests import print_slack

    print_slack()


@manifests.command("discord")
def manifest_discord(as_json: AsJson = False) -> None:
    """Print the link that invites the bot, and the intents it needs."""
    from bot.commands.manifests import print_discord

    print_discord(as_json=as_json)


@forgetting.command("user")
def forget_user(
    user: Annotated[str, typer.Argument(help="platform:workspace/user, for example slack:T1/U1.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase what a user asked and rated."""
    from bot.commands.forgetting import forget

    forget("user", user, yes=yes, as_json=as_json)


@forgetting.command("thread")
def forget_thread(
    thread: Annotated[str, typer.Argument(help="platform:workspace/channel/thread.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase a thread with everything that was asked in it."""
    from bot.commands.forgetting import forget

    forget("thread", thread, yes=yes, as_json=as_json)


@forgetting.command("workspace")
def forget_workspace(
    workspace: Annotated[str, typer.Argument(help="platform:workspace, for example slack:T1.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase everything of a workspace."""
    from bot.commands.forgetting import forget

    forget("workspace", workspace, yes=yes, as_json=as_json)


@parked.command("list")
def inbox_list(as_json: AsJson = False) -> None:
    """Show what is parked, oldest first."""
    from bot.commands.parked_items import list_items

    list_items(as_json=as_json)


@parked.command("show")
def inbox_show(item: ItemId, as_json: AsJson = False) -> None:
    """Show one parked item with its text."""
    from bot.commands.parked_items import show_item

    show_item(item, as_json=as_json)


@parked.command("requeue")
def inbox_requeue(items: ItemIds, as_json: AsJson = False) -> None:
    """Let workers try parked items again."""
    from bot.commands.parked_items import end_parking

    end_parking("requeue", items, as_json=as_json)


@parked.command("drop")
def inbox_drop(items: ItemIds, as_json: AsJson = False) -> None:
    """End parked items for good."""
    from bot.commands.parked_items import end_parking

    end_parking("drop", items, as_json=as_json)


@exports.command("turns")
def export_turns() -> None:
    """One JSON object a line for every turn, oldest first."""
    from bot.commands.exporting import export

    export("turns")


@exports.command("feedback")
def export_feedback() -> None:
    """One JSON object a line for every rating, oldest first."""
    from bot.commands.exporting import export

    export("feedback")

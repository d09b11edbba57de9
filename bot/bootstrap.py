"""The composition root: builds providers, and wires them with the stores (bot/stores.py) and the adapters
(bot/platforms.py).

What a command does not use is not built, and its libraries are not imported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.adapter import Adapter
from bot.stores import Stores, open_stores, read_core_settings
from core.errors import SettingsError
from core.messages import Thread
from core.ports import ChatModel, Embedder
from core.settings import CoreSettings
from core.traces import Tracer

if TYPE_CHECKING:
    from bot.dispatcher import Dispatcher
    from bot.metrics import Metrics
    from bot.refusals import Refusals
    from core.assistant import Assistant
    from core.knowledge.channel_keeping import ChannelKeeper
    from core.knowledge.ingest import Ingestor
    from core.knowledge.keeping import SourceKeeper
    from core.knowledge.reembedding import Reembedding
    from core.knowledge.reranking import Reranker
    from core.knowledge.search import Knowledge
    from core.limits import QuestionLimits


@dataclass(frozen=True)
class Library:
    """The stores, and what searches and fills them. `embedder` is the one that the settings name; which one
    serves, `reembedding` knows."""

    stores: Stores
    embedder: Embedder
    knowledge: Knowledge
    ingestor: Ingestor
    reembedding: Reembedding
    keeper: SourceKeeper
    channels: ChannelKeeper


@dataclass(frozen=True)
class Application:
    """All that answers questions, wired and not started."""

    library: Library
    models: Sequence[ChatModel]
    assistant: Assistant
    tracer: Tracer
    metrics: Metrics
    refusals: Refusals
    adapters: Mapping[str, Adapter]
    off: Mapping[str, str]
    dispatcher: Dispatcher

    @property
    def stores(self) -> Stores:
        return self.library.stores

    @property
    def settings(self) -> CoreSettings:
        return self.library.stores.settings


def list_settings() -> set[str]:
    """The names of all settings there are."""
    from bot.discord.settings import DiscordSettings
    from bot.slack.settings import SlackSettings
    from bot.web.settings import HttpSettings
    from core.providers.settings import ProviderSettings

    groups = (CoreSettings, ProviderSettings, HttpSettings, SlackSettings, DiscordSettings)
    return {name.upper() for group in groups for name in group.model_fields}


def own_documents() -> str:
    """Threadlore's own documents: the default knowledge."""
    shipped = Path(__file__).parent / "docs"
    return str(shipped if shipped.is_dir() else Path(__file__).parent.parent / "docs")


def knowledge_locations(settings: CoreSettings) -> tuple[str, ...]:
    """What `serve` keeps in sync."""
    return settings.knowledge if settings.knowledge is not None else (own_documents(),)


@asynccontextmanager
async def open_library(
    settings: CoreSettings | None = None,
    on_change: Callable[[str, bool], None] = lambda embedder, left_alone: None,
    *,
    measured: bool = False,
) -> AsyncIterator[Library]:
    """The stores, the embedder, search and ingestion, which use the embedder that serves; `measured`: the one that
    the settings name, whatever serves. `on_change` is told when the embedder is left alone because it keeps
    failing, and when it is back. Raises SettingsError, StorageError, ModelPermanentError."""
    from bot.embedding import build_reembedding, open_embedder
    from core.knowledge.channel_keeping import ChannelKeeper
    from core.knowledge.channels import build_channel_source
    from core.knowledge.chunking import ChunkingPolicy
    from core.knowledge.ingest import Ingestor
    from core.knowledge.keeping import SourceKeeper
    from core.knowledge.locations import build_source
    from core.knowledge.search import Knowledge

    async with open_stores(settings) as stores, AsyncExitStack() as stack:
        wanted = stores.settings.embedding_model
        embedder = await open_embedder(stores.settings, wanted, stack, on_change)
        known, store = stores.settings, stores.knowledge_store
        policy = ChunkingPolicy(strategy=known.chunking)
        said, home = stores.channel_messages, known.threadlore_home
        ingestor = Ingestor(
            store,
            embedder,
            chunking=policy,
            build=lambda location: build_channel_source(location, said) or build_source(location, home),
        )
        every_seconds, locations = known.knowledge_sync_minutes * 60, knowledge_locations(known)
        knowledge = Knowledge(store, embedder, build_reranker(known, stack))
        reembedding = build_reembedding(stores, embedder, knowledge, ingestor, stack, on_change)
        if not measured:
            await reembedding.follow()
        yield Library(
            stores=stores,
            embedder=embedder,
            knowledge=knowledge,
            ingestor=ingestor,
            reembedding=reembedding,
            keeper=SourceKeeper(store, ingestor, locations, every_seconds=every_seconds),
            channels=ChannelKeeper(store, said, ingestor, locations, every_seconds=every_seconds),
        )


def build_reranker(settings: CoreSettings, stack: AsyncExitStack) -> Reranker | None:
    """The reranker that the settings name, closed with the stack. Raises SettingsError."""
    from core.providers.rerankers import open_reranker

    return open_reranker(settings, stack)


def pay_for(models: Sequence[ChatModel], stores: Stores, metrics: Metrics) -> Sequence[ChatModel]:
    """The models, paid for from the budget; as they are where none is set, or nothing has a price."""
    from core.providers.line_up import put_under_budget
    from core.providers.terms import find_caps
    from core.storage.budget import PostgresBudget

    settings = stores.settings
    caps = find_caps(settings)
    if settings.chat_model is None or not caps.any:
        return models
    budget = PostgresBudget(stores.database, caps)
    return put_under_budget(
        models, settings, budget, on_spent=metrics.note_spent, on_refused=metrics.note_unaffordable
    )


def build_limits(stores: Stores) -> QuestionLimits:
    """How many questions one person may ask."""
    from core.limits import QuestionLimits
    from core.storage.question_counts import PostgresQuestionCounter

    settings = stores.settings
    return QuestionLimits(
        PostgresQuestionCounter(stores.database),
        per_minute=settings.questions_per_person_per_minute or None,
        per_day=settings.questions_per_person_per_day or None,
    )


def build_models(
    settings: CoreSettings, on_change: Callable[[str, bool], None] = lambda model, left_alone: None
) -> tuple[ChatModel, ...]:
    """The chat models in order of preference; see core.providers.line_up. Raises SettingsError."""
    from core.providers.line_up import line_up_models

    return line_up_models(settings, on_change)


def build_tracer(settings: CoreSettings) -> Tracer:
    """Langfuse when its keys are set; otherwise the turns' own records are all there is."""
    from core.providers.tracing import LangfuseTracer, NullTracer

    public, secret = settings.langfuse_public_key, settings.langfuse_secret_key
    if public is None and secret is None:
        return NullTracer()
    if public is None or secret is None:
        missing = "LANGFUSE_PUBLIC_KEY" if public is None else "LANGFUSE_SECRET_KEY"
        raise SettingsError(missing, "is not set, but the other key is.", "Set both, or neither.")
    return LangfuseTracer(
        public_key=public, secret_key=secret.get_secret_value(), base_url=settings.langfuse_base_url
    )


def build_assistant(library: Library, models: Sequence[ChatModel]) -> Assistant:
    """The core behind its one door."""
    from core.answers import Passage
    from core.assistant import PASSAGES_PER_ANSWER, Assistant
    from core.graph.build import build_graph
    from core.knowledge.first_reading import FirstReading
    from core.memory import ThreadMemory
    from core.messages import Audience
    from core.providers.line_up import choose_stand_in

    settings = library.stores.settings

    async def search(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        return await library.knowledge.read(
            query, audience=audience, limit=PASSAGES_PER_ANSWER, or_by_words=True, context=context
        )

    return Assistant(
        build_graph(),
        models,
        search,
        ThreadMemory(library.stores.turns, models[0], budget_tokens=settings.memory_tokens),
        turn_timeout_seconds=settings.turn_timeout_seconds,
        max_question_characters=settings.max_question_characters,
        stand_in=choose_stand_in(settings),
        first_reading=FirstReading(library.stores.knowledge_store),
    )


@dataclass(frozen=True)
class Workshop:
    """What the workers have at hand."""

    stores: Stores
    assistant: Assistant
    tracer: Tracer
    metrics: Metrics
    refusals: Refusals
    adapters: Mapping[str, Adapter]


def build_dispatcher(at_hand: Workshop, only_thread: Thread | None = None) -> Dispatcher:
    """The workers, for these adapters."""
    from bot.answering import Answering
    from bot.dispatcher import Dispatcher
    from bot.forgetting import Forgetting
    from bot.giving_up import GivingUp
    from bot.handling import Handling
    from bot.rating import Rating
    from bot.recording import Recording
    from bot.replies import Replies
    from bot.trace_upkeep import TraceUpkeep

    stores, settings, adapters = at_hand.stores, at_hand.stores.settings, at_hand.adapters
    turns, outbox, metrics, tracer = stores.turns, stores.outbox, at_hand.metrics, at_hand.tracer
    answer_max_age_seconds = settings.answer_max_age_minutes * 60
    replies = Replies(
        adapters, outbox, metrics, at_hand.refusals, answer_max_age_seconds=answer_max_age_seconds
    )
    traces = TraceUpkeep(stores.feedback, turns, tracer)
    limits = build_limits(stores)
    handling = Handling(
        stores.inbox,
        Answering(replies, at_hand.assistant, turns, outbox, tracer, metrics, limits=limits),
        Rating(stores.feedback, turns, outbox, metrics),
        Forgetting(adapters, turns, outbox),
        GivingUp(replies, turns),
        traces,
        metrics,
        recording=Recording(stores.channel_messages),
        lease_seconds=settings.lease_seconds,
    )
    return Dispatcher(
        stores.inbox,
        handling,
        traces,
        metrics,
        platforms=tuple(adapters),
        concurrency=settings.worker_concurrency,
        only_thread=only_thread,
        lease_seconds=settings.lease_seconds,
    )


@asynccontextmanager
async def open_application(
    adapters: Mapping[str, Adapter] | None = None,
    *,
    settings: CoreSettings | None = None,
    only_thread: Thread | None = None,
) -> AsyncIterator[Application]:
    """Everything that answers, for these adapters; without any, for every platform that is set up."""
    from bot.metrics import Metrics
    from bot.platforms import build_adapters
    from bot.refusals import Refusals

    settings = settings or read_core_settings()
    metrics = Metrics()
    models = build_models(settings, metrics.note_model)
    tracer = build_tracer(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tracer.aclose, 5.0)
        library = await stack.enter_async_context(open_library(settings, metrics.note_model))
        stores, off = library.stores, dict[str, str]()
        refusals = Refusals(metrics)
        if adapters is None:
            adapters, off = build_adapters(stores, metrics)
        for adapter in adapters.values():
            stack.push_async_callback(adapter.aclose)
        assistant = build_assistant(library, pay_for(models, stores, metrics))
        workshop = Workshop(stores, assistant, tracer, metrics, refusals, adapters)
        dispatcher = build_dispatcher(workshop, only_thread)
        yield Application(
            library=library,
            models=models,
            assistant=assistant,
            tracer=tracer,
            metrics=metrics,
            refusals=refusals,
            adapters=adapters,
            off=off,
            dispatcher=dispatcher,
        )

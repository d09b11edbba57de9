"""Where everything is kept: the part of the composition root that opens the database and builds the stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.inbox import Inbox
from core.logs import configure_logs
from core.ports import FeedbackStore, KnowledgeStore, Outbox, TurnStore
from core.settings import CoreSettings, read_settings

if TYPE_CHECKING:
    from core.knowledge.channel_messages import ChannelMessages
    from core.knowledge.vector_store import VectorStore
    from core.leases import Exclusive
    from core.storage.database import Database
    from core.storage.installations import PostgresInstallationStore


@dataclass(frozen=True)
class Stores:
    """Everything that is kept, in one migrated database."""

    settings: CoreSettings
    database: Database
    inbox: Inbox
    outbox: Outbox
    turns: TurnStore
    feedback: FeedbackStore
    knowledge_store: KnowledgeStore
    vectors: VectorStore
    channel_messages: ChannelMessages
    exclusive: Exclusive
    installations: PostgresInstallationStore


def read_core_settings() -> CoreSettings:
    """Read the settings and set up the logs. Raises SettingsError."""
    settings = read_settings(CoreSettings)
    configure_logs(settings.log_level, settings.log_format)
    return settings


@asynccontextmanager
async def open_stores(settings: CoreSettings | None = None) -> AsyncIterator[Stores]:
    """The database, started if it is the embedded one, and migrated. Raises SettingsError, StorageError."""
    from core.storage.channel_messages import PostgresChannelMessages
    from core.storage.database import Database
    from core.storage.exclusive import PostgresExclusive
    from core.storage.feedback import PostgresFeedbackStore
    from core.storage.inbox import PostgresInbox
    from core.storage.installations import PostgresInstallationStore
    from core.storage.knowledge import PostgresKnowledgeStore
    from core.storage.outbox import PostgresOutbox
    from core.storage.turns import PostgresTurnStore
    from core.storage.vectors import PostgresVectorStore

    settings = settings or read_core_settings()
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            from core.storage.embedded import start_embedded_postgres

            server = await start_embedded_postgres(settings.threadlore_home)
            stack.push_async_callback(server.stop)
            url = server.url
        database = Database(url)
        stack.push_async_callback(database.aclose)
        await database.migrate()
        inbox = PostgresInbox(database)
        stack.push_async_callback(inbox.aclose)
        yield Stores(
            settings=settings,
            database=database,
            inbox=inbox,
            outbox=PostgresOutbox(database),
            turns=PostgresTurnStore(database),
            feedback=PostgresFeedbackStore(database),
            knowledge_store=PostgresKnowledgeStore(database),
            vectors=PostgresVectorStore(database),
            channel_messages=PostgresChannelMessages(database),
            exclusive=PostgresExclusive(database),
            installations=PostgresInstallationStore(database),
        )

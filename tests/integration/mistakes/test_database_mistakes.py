"""O2: what operators get wrong about the database, one mistake at a time; the doctor names it with its remedy."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from core.testing.pooler import TransactionPooler
from tests.integration.mistakes.making import Ground, Mistake, Mistakes, require_named

MISTAKES = Mistakes()

MISTAKES.setting(
    "another database", "database", "database", "DATABASE_URL", DATABASE_URL="mysql://localhost/x"
)
MISTAKES.setting(
    "no server", "database", "database", "DATABASE_URL", DATABASE_URL="postgresql://u@127.0.0.1:9/x"
)
MISTAKES.setting("no such host", "database", "database", "host", DATABASE_URL="postgresql://u@db.invalid/x")
MISTAKES.setting(
    "an unknown option", "database", "database", "DATABASE_URL", "sslmode", DATABASE_URL="{url}&pool=5"
)


@MISTAKES.elsewhere("a database that is not there", "database", "database", "Create the database")
async def _(ground: Ground) -> dict[str, str]:
    url = ground.database.url.set(database="nowhere")
    return {"DATABASE_URL": url.render_as_string(hide_password=False)}


@MISTAKES.elsewhere("a user that is not there", "database", "database", "user")
async def _(ground: Ground) -> dict[str, str]:
    url = ground.database.url.set(username="nobody_here")
    return {"DATABASE_URL": url.render_as_string(hide_password=False)}


@MISTAKES.elsewhere("a replica", "database", "database", "primary")
async def _(ground: Ground) -> None:
    name = ground.database.url.database
    await ground.database.run(text(f"alter database {name} set default_transaction_read_only = on"))

    async def mend() -> None:
        await ground.database.run(text(f"alter database {name} reset default_transaction_read_only"))

    ground.stack.push_async_callback(mend)


async def _pool(ground: Ground, **options: Any) -> dict[str, str]:
    query = ground.database.url.query
    socket = f"{query['host']}/.s.PGSQL.{query.get('port', 5432)}"
    pooler = await ground.stack.enter_async_context(TransactionPooler(socket, **options))
    url = ground.database.url.set(host="127.0.0.1", port=pooler.port, query={})
    return {"DATABASE_URL": url.render_as_string(hide_password=False)}


@MISTAKES.elsewhere("PgBouncer that refuses settings", "database", "database", "pool_mode=session")
async def _(ground: Ground) -> dict[str, str]:
    return await _pool(ground, lets_settings_through=False)


@MISTAKES.elsewhere("PgBouncer in transaction mode", "database", "database", "pool_mode=session")
async def _(ground: Ground) -> dict[str, str]:
    return await _pool(ground)


@pytest.mark.parametrize("mistake", MISTAKES.cases())
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await require_named(mistake, ground, monkeypatch)

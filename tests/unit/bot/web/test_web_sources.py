"""The sources over HTTP: what is shown, what can be asked for, and to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.knowledge.documents import Grant, QuarantinedDocument
from tests.unit.bot.web.web_ground import Ground, open_ground


async def add_source(ground: Ground, uri: str, *grants: Grant) -> int:
    collection_id = await ground.store.open_collection(uri, grants)
    return await ground.store.open_source(collection_id, uri, "folder", kept_by="settings", every_seconds=600)


async def test_a_source_is_shown_with_its_state_and_what_could_not_be_read() -> None:
    async with open_ground() as ground:
        source_id = await add_source(ground, "/srv/handbook")
        await ground.store.begin_source(source_id)
        retry_at = datetime.now(UTC) + timedelta(hours=1)
        broken = QuarantinedDocument(
            uri="handbook/a.pdf", reason="The PDF is broken.", content_hash="0", retry_at=retry_at
        )
        await ground.store.quarantine(source_id, [broken])
        await ground.store.note_progress(source_id, 3, 3)
        await ground.store.finish_source(source_id, error="handbook/a.pdf: The PDF is broken.")

        (shown,) = (await ground.http.get("/v1/sources")).json()

        assert (shown["uri"], shown["state"], shown["done"]) == ("/srv/handbook", "incomplete", 3)
        assert (shown["failed_documents"], shown["failed"][0]["reason"]) == (1, "The PDF is broken.")
        assert shown["next_sync_at"] > shown["synced_at"]


async def test_a_sync_that_is_asked_for_is_due_at_once() -> None:
    async with open_ground() as ground:
        source_id = await add_source(ground, "/srv/handbook")
        await ground.store.begin_source(source_id)
        await ground.store.finish_source(source_id, error=None)
        assert await ground.store.due_sources() == []

        assert (await ground.http.post(f"/v1/sources/{source_id}/sync")).status_code == 202

        assert await ground.store.due_sources() == [source_id]
        assert (await ground.http.get("/v1/sources")).json()[0]["state"] == "due"


async def test_a_channel_is_listed_without_what_is_said_in_it() -> None:
    async with open_ground() as ground:
        collection_id = await ground.store.open_collection(
            "slack:T1/C1", [Grant(platform="slack", workspace="T1", channel="C1")]
        )
        source_id = await ground.store.open_source(
            collection_id, "slack:T1/C1", "channel", kept_by="settings"
        )
        held = QuarantinedDocument(uri="https://x.example/p1", reason="broken", retry_at=datetime.now(UTC))
        await ground.store.quarantine(source_id, [held])

        (shown,) = (await ground.http.get("/v1/sources")).json()

        assert (shown["uri"], shown["kind"], shown["failed"]) == ("slack:T1/C1", "channel", [])
        assert (await ground.http.post(f"/v1/sources/{source_id}/sync")).status_code == 202


async def test_sources_that_answers_here_never_come_from_are_not_there() -> None:
    async with open_ground() as ground:
        hidden = await add_source(ground, "/srv/legal", Grant(platform="slack", workspace="T1", channel="C1"))
        await ground.store.finish_source(hidden, error=None)

        assert (await ground.http.get("/v1/sources")).json() == []
        refused = [await ground.http.post(f"/v1/sources/{n}/sync") for n in (hidden, 999_999, "x")]
        assert [answer.status_code for answer in refused] == [404, 404, 404]
        assert await ground.store.due_sources() == []

"""Whether a serving process does what it is there for: what `/readyz` says, check by check."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from bot.adapter import Adapter
from bot.bootstrap import Application
from bot.web.models import CheckOut, Readiness
from core.errors import StorageError

ALARMING_TRANSACTION_MINUTES = 5.0


@runtime_checkable
class SaysWhyDeaf(Protocol):
    """An adapter that knows what keeps events from it."""

    def why_deaf(self) -> str:
        """A sentence for the operator; "" when it hears, or cannot know."""
        ...


@runtime_checkable
class StandsBy(Protocol):
    """An adapter of a platform that tells its events to one process at a time."""

    def standing_by(self) -> str:
        """A sentence for the operator while another process is told; "" otherwise."""
        ...


@runtime_checkable
class MayBeLeftAlone(Protocol):
    """A model that is not asked while it keeps failing."""

    @property
    def name(self) -> str: ...
    @property
    def is_left_alone(self) -> bool: ...


async def find_readiness(app: Application, *, receiving: bool, working: bool) -> Readiness:
    """`receiving`, `working`: what the process is there for, beside HTTP."""
    checks = [await _check_database(app)]
    if receiving:
        checks += [_check_receiving(name, adapter) for name, adapter in app.adapters.items()]
    if working:
        checks += [*_check_sending(app), *_check_worker(app), *_list_models_left_alone(app)]
    return Readiness(ready=all(check.ok for check in checks), checks=checks)


async def _check_database(app: Application) -> CheckOut:
    try:
        await app.stores.database.ping()
    except StorageError:
        return CheckOut(name="database", ok=False, detail="The database does not answer.")
    return CheckOut(name="database", ok=True)


def _check_receiving(name: str, adapter: Adapter) -> CheckOut:
    if adapter.is_receiving():
        return CheckOut(
            name=name, ok=True, detail=adapter.standing_by() if isinstance(adapter, StandsBy) else ""
        )
    why = adapter.why_deaf() if isinstance(adapter, SaysWhyDeaf) else ""
    return CheckOut(name=name, ok=False, detail=why or "No events reach us from this platform right now.")


def _check_sending(app: Application) -> list[CheckOut]:
    detail = "The platform refuses our token: nothing is sent for a while."
    stopped = [name for name in app.adapters if app.refusals.stopped(name)]
    return [CheckOut(name=f"{name} sending", ok=False, detail=detail) for name in stopped]


def _check_worker(app: Application) -> list[CheckOut]:
    stuck = app.dispatcher.stuck_loops()
    detail = f"The worker is stuck: {', '.join(stuck)}." if stuck else ""
    checks = [CheckOut(name="worker", ok=not stuck, detail=detail)]
    minutes = app.dispatcher.oldest_transaction_seconds / 60
    if minutes > ALARMING_TRANSACTION_MINUTES:
        warning = (
            f"A transaction in the database has been open for {minutes:.0f} minutes. Until it ends,"
            " the queue gets slower: look for it in pg_stat_activity."
        )
        checks.append(CheckOut(name="transactions", ok=True, detail=warning))
    return checks


def _list_models_left_alone(app: Application) -> list[CheckOut]:
    """A detail, no failure: questions are answered all the same, by the next model, by quoting, or by a search
    for words."""
    return [
        CheckOut(name=model.name, ok=True, detail="This model keeps failing and is left alone.")
        for model in (*app.models, app.library.embedder)
        if isinstance(model, MayBeLeftAlone) and model.is_left_alone
    ]

"""A store of installations that forgets at the end of the process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


class InMemoryInstallationStore:
    """The double of core.storage.installations.PostgresInstallationStore."""

    def __init__(self) -> None:
        self._installations: dict[tuple[str, str], dict[str, Any]] = {}
        self._states: dict[tuple[str, str], float] = {}

    async def save(self, platform: str, workspace: str, data: Mapping[str, Any]) -> None:
        self._installations[platform, workspace] = dict(data)

    async def find(self, platform: str, workspace: str) -> Mapping[str, Any] | None:
        return self._installations.get((platform, workspace))

    async def workspaces(self, platform: str) -> list[str]:
        return sorted(workspace for on, workspace in self._installations if on == platform)

    async def remove(self, platform: str, workspace: str) -> bool:
        return self._installations.pop((platform, workspace), None) is not None

    async def issue_state(self, platform: str, state: str, lifetime_seconds: float) -> None:
        self._states[platform, state] = time.monotonic() + lifetime_seconds

    async def consume_state(self, platform: str, state: str) -> bool:
        expires = self._states.pop((platform, state), None)
        return expires is not None and expires > time.monotonic()

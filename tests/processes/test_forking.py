"""A forked process is what one on the true command line is, but for the time it takes to begin."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.processes.forking import start_forked
from tests.processes.starting import start_threadlore

NOTHING: Mapping[str, str] = {}


@pytest.mark.parametrize(
    ("arguments", "settings", "code"),
    [
        (("manifest", "slack"), NOTHING, 0),
        (("export", "turns"), {"LOG_LEVEL": "LOUD"}, 2),
        (("export", "turns"), {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}, 1),
    ],
    ids=["output", "a wrong setting", "no database"],
)
async def test_it_says_and_ends_as_one_that_starts_cold(
    arguments: Sequence[str], settings: Mapping[str, str], code: int, tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], "THREADLORE_HOME": "home"} | dict(settings)
    said = []
    for is_cold in (False, True):
        process = await start_threadlore(arguments, environment=environment, folder=tmp_path, is_cold=is_cold)
        said.append((*await process.communicate(), process.returncode))
    assert said[0] == said[1]
    assert said[0][2] == code


async def test_the_folder_is_its_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=LOUD")
    process = await start_forked(("export", "turns"), environment=NOTHING, folder=tmp_path)
    _, err = await process.communicate()
    assert b"threadlore: LOG_LEVEL" in err


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_signal_ends_it_and_nothing_else(signal_number: int, tmp_path: Path) -> None:
    first, second = [
        await start_forked(("ask", "-"), environment=NOTHING, folder=tmp_path, stdin=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    first.send_signal(signal_number)
    assert await first.wait() == -signal_number
    assert second.returncode is None
    second.kill()
    await second.wait()

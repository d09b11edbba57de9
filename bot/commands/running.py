"""How every command runs: its event loop, its logs on stderr, its errors as plain words, its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from core.errors import DatasetError, SettingsError, ThreadloreError

if TYPE_CHECKING:
    from core.settings import CoreSettings

FAILED = 1
WRONG_USAGE = 2

T = TypeVar("T")


class CommandFailedError(Exception):
    """The command could not do its work; the message is for the person at the terminal."""

    def __init__(self, message: str, *, remedy: str = "", code: int = FAILED) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code


def run_command(work: Callable[[CoreSettings], Coroutine[Any, Any, T]]) -> T:
    """Run a command to its end and give its result; exits 1 when it failed, 2 for usage and settings."""
    return run_without_settings(lambda: work(read_quiet_settings()))


def run_without_settings(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The same for a command that has something to say even when the settings are wrong."""
    try:
        result = asyncio.run(work())
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough (`| head`): nothing is wrong.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        _leave("interrupted", "", FAILED)
    except SettingsError as error:
        _leave(f"{error.setting}: {error.problem}", error.remedy, WRONG_USAGE)
    except DatasetError as error:
        _leave(str(error), "", WRONG_USAGE)
    except CommandFailedError as error:
        _leave(str(error), error.remedy, error.code)
    except ThreadloreError as error:
        _leave(str(error), "`threadlore doctor` checks every setting.", FAILED)
    return result


def read_quiet_settings() -> CoreSettings:
    """The settings, with logs set up so that only warnings are told, unless LOG_LEVEL asks for more.
    Raises SettingsError."""
    from core.logs import configure_logs
    from core.settings import CoreSettings, read_settings

    settings = read_settings(CoreSettings)
    asked_for = "log_level" in settings.model_fields_set
    configure_logs(settings.log_level if asked_for else "WARNING", settings.log_format)
    return settings


def write_json(value: object) -> None:
    """One JSON document on stdout; indented for people, on one line for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None) + "\n")


def write_line(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def tell(text: str) -> None:
    """Something for the person at the terminal that is not a result."""
    sys.stderr.write(text + "\n")


def confirm(question: str) -> None:
    """Before something is erased. Raises CommandFailedError unless a person says yes."""
    if not sys.stdin.isatty():
        raise CommandFailedError(
            "this erases data, and there is nobody to ask", remedy="Add --yes.", code=WRONG_USAGE
        )
    tell(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailedError("nothing was erased")


def _leave(problem: str, remedy: str, code: int) -> NoReturn:
    tell(f"threadlore: {problem}")
    if remedy:
        tell(f"  {remedy}")
    raise SystemExit(code)

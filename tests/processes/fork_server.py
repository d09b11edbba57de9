"""The warm parent of the processes that tests start: it has imported what `threadlore serve` imports, has opened
nothing, and forks one child for each order that it reads from a socket.

`python -m tests.processes.fork_server DESCRIPTOR`: tests/processes/forking.py starts it and speaks with it. A
child has its own pid, environment, folder and streams, and runs `python -m bot` from its first line on; what it
saves is the seconds of computing that the imports cost. When the socket ends, so do the parent and its children.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bot
import core

ALSO_WARM = (
    "alembic.command",
    "anyio._backends._asyncio",
    "h11",
    "httpcore2",
    "langchain.chat_models",
    "langchain.embeddings",
    "langchain_openai",
    "openai.resources.chat",
    "openai.resources.embeddings",
    "pgvector.sqlalchemy",
    "slack_bolt.listener_matcher.async_builtins",
    "truststore",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.auto",
)
"""What our modules, or these libraries themselves, import only when they need it. onnxruntime is not among them: it
begins threads and opens files when it is imported."""

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
MOST_BYTES = 2**20
STREAMS = 3


def serve_orders(control: socket.socket) -> None:
    """Fork for every order, and tell how each child ended. Returns in each child, made into what was ordered; the
    parent ends when nobody is there any more to give orders."""
    exits: dict[int, int] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the tests, which then close the socket
    signal.set_wakeup_fd(wake)
    sources: list[socket.socket | int] = [control, woken]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if woken in ready:
            os.read(woken, 4096)
            tell_exits(exits)
        if control not in ready:
            continue
        message, descriptors, *_ = socket.recv_fds(control, MOST_BYTES, STREAMS + 1)
        if not message:
            sys.exit(0)
        *streams, told = descriptors
        if not (pid := fork_alone()):
            control.close()  # its number may soon be that of something else
            become(json.loads(message), streams)
            return
        exits[pid] = told
        for descriptor in streams:
            os.close(descriptor)
        answer(control, pid)


def fork_alone() -> int:
    """0 in the child. Threads would not come along, and what they hold would stay locked for ever."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1 or threading.active_count() > 1:
        raise RuntimeError(f"{threads} threads in a process that forks")
    return os.fork()


def answer(control: socket.socket, pid: int) -> None:
    """Tell the pid, with a descriptor that stays this process's own even after its number is used again."""
    process = os.pidfd_open(pid)
    control.sendmsg(
        [str(pid).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [process]))]
    )
    os.close(process)


def tell_exits(exits: dict[int, int]) -> None:
    """Collect the children that have ended."""
    while exits:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        told = exits.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(told)


def become(order: dict[str, Any], streams: list[int]) -> None:
    """Make this child what a process is that was started with such an environment, folder and streams."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(STREAMS, 1 + max(int(name) for name in os.listdir("/proc/self/fd")))  # noqa: PTH208
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    random.seed()
    sys.path[0] = order["folder"]
    sys.argv[1:] = order["arguments"]


def find_our_modules() -> list[str]:
    """Everything that is Threadlore's, without what only tests use."""
    return [
        module.name
        for package in (bot, core)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith(".__main__") and ".testing" not in module.name
    ]


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path.insert(1, sys.path[0])  # the first place becomes the child's folder, as with `python -m`
    for name in (*find_our_modules(), *ALSO_WARM):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is there now stays shared with the children
    serve_orders(control)
    runpy.run_module("bot", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

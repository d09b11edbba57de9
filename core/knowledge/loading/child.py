"""The process in which untrusted formats are parsed: little memory, no files, no settings, one document at a time.

Run by core.knowledge.parsing. Reads requests from standard input and writes replies to standard output, each a
line of JSON with the size of what follows it. Ends when its input ends, or after running out of memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from typing import BinaryIO, NoReturn

OUT_OF_MEMORY = "The document needs more memory to be read than it may have."
TOO_MUCH_TEXT = "The document unpacks to too much text."


def serve(requests: BinaryIO, replies: BinaryIO, cpu_seconds: int, output_bytes: int) -> None:
    """Answer until there are no more requests."""
    from core.errors import SourceError
    from core.knowledge.loading import load_document

    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request.pop("size"))
        _allow_cpu(cpu_seconds)
        try:
            document = load_document(data, **request)
            reply = {"title": document.title, "text": document.text, "author": document.author}
        except SourceError as error:
            reply = {"reason": error.reason}
        except RecursionError:
            reply = {"reason": "The document is nested too deeply to be read."}
        except MemoryError:
            _write(replies, {"reason": OUT_OF_MEMORY}, output_bytes)
            _leave()
        _write(replies, reply, output_bytes)


def _write(replies: BinaryIO, reply: dict[str, str | None], output_bytes: int) -> None:
    body = json.dumps(reply).encode()
    if len(body) > output_bytes:
        body = json.dumps({"reason": TOO_MUCH_TEXT}).encode()
    replies.write(json.dumps({"size": len(body)}).encode() + b"\n" + body)
    replies.flush()


def _allow_cpu(seconds: int) -> None:
    """From now on; going over it ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    _limit(resource.RLIMIT_CPU, soft, resource.getrlimit(resource.RLIMIT_CPU)[1])


def _limit(which: int, soft: int, hard: int) -> None:
    # Not every system knows every limit; the parent still watches the time and the size of the reply.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (soft, hard))


def _leave() -> NoReturn:
    """At once: after running out of memory nothing of this process is to be trusted."""
    os._exit(0)


def main() -> None:
    memory_bytes, cpu_seconds, output_bytes = (int(argument) for argument in sys.argv[1:])
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not end up among the replies.
    os.dup2(2, 1)
    _limit(resource.RLIMIT_AS, memory_bytes, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, 0, 0)
    _limit(resource.RLIMIT_CORE, 0, 0)
    serve(requests, replies, cpu_seconds, output_bytes)


if __name__ == "__main__":
    main()

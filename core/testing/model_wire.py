"""What providers of models send, byte for byte: streams, whole answers and errors. Pure.

Two dialects: chat completions as OpenAI and many others speak them, and Anthropic's messages.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Literal

Finish = Literal["stop", "length", "refusal"]
OPENAI_FINISH = {"stop": "stop", "length": "length", "refusal": "content_filter"}
ANTHROPIC_FINISH = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}
CREATED = 1_700_000_000
MALFORMED_EVENT = b'event: content_block_delta\ndata: {"id": "broken", "choices": [{"delta"\n\n'
"""No JSON in either dialect; the name of the event is what Anthropic's client looks at."""
WORD = re.compile(r"\w+")


def count_tokens(text: str) -> int:
    """About as many tokens as a tokenizer would count: four characters each."""
    return math.ceil(len(text) / 4)


def split_text(text: str, size: int) -> list[str]:
    """Pieces of at most `size` characters, as a model would stream them."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def openai_stream(
    model: str, pieces: Sequence[str], finish: Finish, input_tokens: int, with_usage: bool
) -> list[bytes]:
    """The events of a streamed chat completion, one per piece, then finish, usage and the end mark."""

    def event(choices: list[dict[str, object]], **more: object) -> bytes:
        chunk = {
            "id": "chatcmpl-loopback",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": model,
            "choices": choices,
            **more,
        }
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    def delta(content: dict[str, str], reason: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": content, "finish_reason": reason}]

    events = [event(delta({"role": "assistant", "content": ""}))]
    events += [event(delta({"content": piece})) for piece in pieces]
    events.append(event(delta({}, OPENAI_FINISH[finish])))
    if with_usage:
        events.append(event([], usage=openai_usage(input_tokens, count_tokens("".join(pieces)))))
    return [*events, b"data: [DONE]\n\n"]


def openai_whole(model: str, text: str, finish: Finish, input_tokens: int) -> dict[str, object]:
    """A chat completion in one piece."""
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": OPENAI_FINISH[finish],
            }
        ],
        "usage": openai_usage(input_tokens, count_tokens(text)),
    }


def openai_usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }


def openai_error(status: int, code: str | None) -> dict[str, object]:
    return {"error": {"message": f"made to fail with {status}", "type": "loopback", "code": code}}


def openai_error_event() -> bytes:
    """What a provider sends when it fails in the middle of a stream."""
    return b"data: " + json.dumps(openai_error(500, "server_error")).encode() + b"\n\n"


def anthropic_stream(model: str, pieces: Sequence[str], finish: Finish, input_tokens: int) -> list[bytes]:
    """The events of a streamed message."""

    def event(kind: str, **more: object) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    usage = {"input_tokens": input_tokens, "output_tokens": 1}
    return [
        event("message_start", message=_anthropic_message(model, [], None, usage)),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ),
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": ANTHROPIC_FINISH[finish], "stop_sequence": None},
            usage={"input_tokens": input_tokens, "output_tokens": count_tokens("".join(pieces))},
        ),
        event("message_stop"),
    ]


def anthropic_whole(model: str, text: str, finish: Finish, input_tokens: int) -> dict[str, object]:
    usage = {"input_tokens": input_tokens, "output_tokens": count_tokens(text)}
    return _anthropic_message(model, [{"type": "text", "text": text}], ANTHROPIC_FINISH[finish], usage)


def anthropic_error(kind: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": "made to fail"}}


def anthropic_error_event() -> bytes:
    return f"event: error\ndata: {json.dumps(anthropic_error('overloaded_error'))}\n\n".encode()


def _anthropic_message(
    model: str, content: list[dict[str, str]], reason: str | None, usage: dict[str, int]
) -> dict[str, object]:
    return {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def word_vector(text: str, dimensions: int) -> list[float]:
    """A vector that is the same for the same words and near for shared ones. Not of unit length."""
    vector = [0.0] * dimensions
    for word in WORD.findall(text.casefold()) or [""]:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % dimensions] += 1.0 if digest[4] % 2 else -1.0
    return vector if any(vector) else [1.0, *vector[1:]]

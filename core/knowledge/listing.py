"""What a source lists, for the length of one sync: in a file, so that memory does not grow with the number of
documents."""

from __future__ import annotations

import json
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from types import TracebackType
from typing import Self

from core.knowledge.sources import Entry

PARTS = 256


class Fingerprints:
    """A set of texts of which 8 bytes each are kept: enough to say whether a text is in it, wrong once in some 10^14
    times among a hundred thousand."""

    def __init__(self) -> None:
        # By their lowest bits, so that little at a time is sorted when somebody asks.
        self._parts = [array("Q") for _ in range(PARTS)]
        self._unsorted: set[int] = set()

    def add(self, text: str) -> None:
        value = _fingerprint(text)
        self._parts[value % PARTS].append(value)
        self._unsorted.add(value % PARTS)

    def __contains__(self, text: str) -> bool:
        value = _fingerprint(text)
        number = value % PARTS
        if number in self._unsorted:
            self._parts[number] = array("Q", sorted(self._parts[number]))
            self._unsorted.remove(number)
        part = self._parts[number]
        place = bisect_left(part, value)
        return place < len(part) and part[place] == value


def _fingerprint(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())


class Listing:
    """The entries of one source, in their order; go through them as often as you like. Close it, or use it in a with
    statement: its file is gone then."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed with the listing
        self._count = 0
        self._uris = Fingerprints()
        self.locators = Fingerprints()

    def fill(self, entries: Iterable[Entry], is_wanted: Callable[[Entry], bool] = lambda entry: True) -> None:
        """Write down what is wanted of the entries. Blocking; raises what going through them raises."""
        for entry in entries:
            if is_wanted(entry):
                self._file.write(json.dumps([entry.uri, entry.locator, entry.is_code]) + "\n")
                self._count += 1
                self._uris.add(entry.uri)
                self.locators.add(entry.locator)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """One at a time: a second iteration ends the one before it."""
        self._file.seek(0)
        for line in self._file:
            yield Entry(*json.loads(line))

    def has(self, uri: str) -> bool:
        """Whether an entry of this name is listed."""
        return uri in self._uris

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

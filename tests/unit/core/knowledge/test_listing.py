"""What a source lists is kept for the length of a sync, in its order, and is asked for by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SourceError
from core.knowledge.listing import Fingerprints, Listing
from core.knowledge.sources import Entry

texts = st.text(
    st.characters(codec=None), max_size=30
)  # also what is no valid text, as names of files may be


@given(st.lists(st.builds(Entry, uri=texts, locator=texts, is_code=st.booleans())))
def test_entries_come_back_as_they_were_in_their_order_as_often_as_asked(entries: list[Entry]) -> None:
    with Listing() as listing:
        listing.fill(entries)
        assert len(listing) == len(entries)
        assert [list(listing), list(listing)] == [entries, entries]


@given(st.sets(texts), st.sets(texts))
def test_a_name_is_listed_or_it_is_not(listed: set[str], others: set[str]) -> None:
    with Listing() as listing:
        listing.fill(Entry(uri=uri, locator=f"/{uri}") for uri in listed)
        assert {uri for uri in listed | others if listing.has(uri)} == listed


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20))))
def test_adding_and_asking_may_take_turns(steps: list[tuple[bool, int]]) -> None:
    fingerprints, known = Fingerprints(), set[int]()
    for adds, number in steps:
        if adds:
            fingerprints.add(str(number))
            known.add(number)
        else:
            assert (str(number) in fingerprints) == (number in known)


def test_what_is_not_wanted_is_not_listed() -> None:
    with Listing() as listing:
        entries = [Entry("a.md", "/a.md"), Entry("b.py", "/b.py", is_code=True)]
        listing.fill(entries, lambda entry: not entry.is_code)
        assert [entry.uri for entry in listing] == ["a.md"]
        assert not listing.has("b.py")
        assert "/b.py" not in listing.locators


def test_a_source_that_breaks_off_is_no_shorter_source() -> None:
    def breaking_off() -> list[Entry]:
        raise SourceError("folder", "The disk is gone.")

    with Listing() as listing, pytest.raises(SourceError):
        listing.fill(entry for _ in range(1) for entry in breaking_off())

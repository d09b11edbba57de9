"""Citations are held against their passages; what is not supported loses its marker."""

from __future__ import annotations

import pytest

from core.answers import Passage
from core.citations import check_citations


def make_passage(chunk_id: int, text: str, title: str = "Handbook") -> Passage:
    return Passage(
        chunk_id=chunk_id,
        document_id=chunk_id,
        title=title,
        uri=f"docs/{chunk_id}.md",
        text=text,
        rank=chunk_id,
        score=1.0,
    )


DEPLOY = make_passage(1, "Deployments run every Tuesday at 10:00. They are started by the release manager.")
BACKUP = make_passage(2, "Backups are kept for 30 days in the second region. Nobody may delete them by hand.")
CODE = make_passage(3, "Run `make deploy` and wait.\n```bash\nmake deploy target[1]\n```")


def test_a_supported_statement_keeps_its_marker_and_gets_a_quote() -> None:
    checked = check_citations("Backups are kept for 30 days [2].", [DEPLOY, BACKUP])
    assert checked.text == "Backups are kept for 30 days [1]."
    assert [(c.n, c.chunk_id, c.quote) for c in checked.citations] == [
        (1, 2, "Backups are kept for 30 days in the second region.")
    ]
    assert checked.dropped == 0


@pytest.mark.parametrize("marker", ["[9]", "[0]", "[12, 13]"])
def test_a_marker_that_names_no_passage_is_removed(marker: str) -> None:
    checked = check_citations(f"Backups are kept for 30 days {marker}.", [DEPLOY, BACKUP])
    assert checked.text == "Backups are kept for 30 days."
    assert checked.citations == ()
    assert checked.dropped >= 1


def test_a_statement_that_its_passage_does_not_carry_loses_its_marker() -> None:
    checked = check_citations("The canteen serves lasagne with spinach on Fridays [1].", [DEPLOY, BACKUP])
    assert "[1]" not in checked.text
    assert checked.citations == ()


def test_a_number_that_the_passage_does_not_hold_is_not_supported() -> None:
    assert check_citations("Backups are kept for 90 days [2].", [DEPLOY, BACKUP]).citations == ()


def test_markers_are_numbered_anew_in_the_order_of_appearance() -> None:
    checked = check_citations(
        "Backups are kept for 30 days [2]. Deployments run every Tuesday [1]. Nobody may delete backups [2].",
        [DEPLOY, BACKUP],
    )
    assert checked.text == (
        "Backups are kept for 30 days [1]. Deployments run every Tuesday [2]. Nobody may delete backups [1]."
    )
    assert [c.chunk_id for c in checked.citations] == [2, 1]


def test_several_numbers_in_one_bracket_are_checked_one_by_one() -> None:
    checked = check_citations("Backups are kept for 30 days [1, 2].", [DEPLOY, BACKUP])
    assert checked.text == "Backups are kept for 30 days [1]."
    assert [c.chunk_id for c in checked.citations] == [2]
    assert checked.dropped == 1


def test_code_is_left_as_it_stands() -> None:
    text = "Run the deployment [1]:\n\n```bash\nmake deploy target[1]\n```\n\nThen read `rows[2]`."
    checked = check_citations(text, [CODE])
    assert "make deploy target[1]" in checked.text
    assert "`rows[2]`" in checked.text


def test_a_marker_before_its_statement_refers_to_what_follows() -> None:
    checked = check_citations("According to [1], deployments run every Tuesday.", [DEPLOY])
    assert checked.text == "According to [1], deployments run every Tuesday."


def test_a_markdown_link_is_no_marker() -> None:
    checked = check_citations("See [1](https://example.org) for deployments run every Tuesday [1].", [DEPLOY])
    assert "[1](https://example.org)" in checked.text
    assert len(checked.citations) == 1


def test_an_answer_in_another_language_keeps_its_citation() -> None:
    checked = check_citations("Die Sicherungen werden 30 Tage lang aufbewahrt [1].", [BACKUP])
    assert [c.chunk_id for c in checked.citations] == [2]


def test_an_answer_in_another_language_with_a_wrong_number_loses_it() -> None:
    assert check_citations("Die Sicherungen werden 90 Tage lang aufbewahrt [1].", [BACKUP]).citations == ()

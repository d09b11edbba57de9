"""Things are called what the glossary calls them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.pages import ROOT, column, name_of

GLOSSARY = ROOT / "docs/glossary.md"
WORDS_OF_A_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def test_no_class_has_a_name_that_the_glossary_rejects() -> None:
    rejected = rejected_names()
    found = [where for name, where in class_names() if rejected & words_of(name)]
    assert found == []


@pytest.mark.parametrize("name", ["ChatSession", "HTTPClient", "UserStore"])
def test_the_check_sees_a_rejected_word_inside_a_name(name: str) -> None:
    assert rejected_names() & words_of(name)


def rejected_names() -> set[str]:
    """The last column of the words tables, but for words that another row defines."""
    cells = ",".join(column(GLOSSARY, "Never call it"))
    defined = {word.lower() for word in column(GLOSSARY, "Word")}
    return {name.strip() for name in cells.split(",")} - {"–"} - defined


def words_of(name: str) -> set[str]:
    return {word.lower() for word in WORDS_OF_A_NAME.findall(name)}


def class_names() -> Iterator[tuple[str, str]]:
    for folder in ("bot", "core", "migrations"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "testing" in path.parts:  # a loopback Discord speaks Discord's words
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield own_name(node), f"{name_of(path)}: {node.name}"


def own_name(node: ast.ClassDef) -> str:
    """The name without the words that it takes over from a library's class (`discord.Client`)."""
    inherited = {
        word for base in node.bases if isinstance(base, ast.Attribute) for word in words_of(base.attr)
    }
    return "".join(
        word.title() for word in WORDS_OF_A_NAME.findall(node.name) if word.lower() not in inherited
    )

"""Files and functions stay small enough to be read at once. Tests may be longer: they are only reported."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.pages import ROOT, name_of

LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 60
"""From `def` to the end, signature and docstring included; a body of 40 lines fits in that."""

PRODUCT = ("bot", "core", "migrations")
LENIENT = ("tests", "benchmarks")
MIGRATING = ("upgrade", "downgrade")
"""A migration lists tables, one after the other, and is never changed again."""


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_file_is_longer_than_a_reader_can_hold(folder: str) -> None:
    assert list(long_files(folder)) == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_function_is_longer_than_a_screen(folder: str) -> None:
    assert list(long_functions(folder)) == []


@pytest.mark.parametrize("folder", LENIENT)
def test_long_files_and_functions_of_tests_are_reported(folder: str) -> None:
    for found in (*long_files(folder), *long_functions(folder)):
        warnings.warn(f"long: {found}", stacklevel=1)


def code_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def long_files(folder: str) -> Iterator[str]:
    for path in code_files(folder):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE_LINES:
            yield f"{name_of(path)}: {lines} lines"


def long_functions(folder: str) -> Iterator[str]:
    for path in code_files(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in MIGRATING:
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION_LINES:
                    yield f"{name_of(path)}:{node.lineno} {node.name}: {lines} lines"

"""The pages say nothing that is not so: links lead somewhere, commands and settings exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from bot.cli import app
from core.settings import EnvironmentSettings
from tests.architecture.pages import ROOT, all_pages, anchors_of, code_of, column, links_of, name_of

PAGES = [pytest.param(page, id=name_of(page)) for page in all_pages()]
SETTING = re.compile(r"`([A-Z][A-Z0-9_]+)`")
OF_COMPOSE = {"POSTGRES_PASSWORD"}
"""Read by compose.yaml, not by Threadlore."""


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    broken = [link for link in links_of(page) if ":" not in link and not leads_somewhere(page, link)]
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_names_a_command_and_options_that_exist(page: Path) -> None:
    wrong = [line for line in code_of(page) if line.startswith("threadlore ") and problem_with(line)]
    assert wrong == []


def test_every_command_stands_in_the_reference() -> None:
    documented = set(column(ROOT / "docs/reference/commands.md", "Command"))
    assert documented == {f"`threadlore {path}`" for path in leaf_commands(root_command())}


def test_the_reference_has_every_setting_and_no_other() -> None:
    documented = column(ROOT / "docs/reference/settings.md", "Setting")
    assert sorted(documented) == sorted(f"`{name}`" for name in all_settings())


def test_the_readme_names_no_setting_that_does_not_exist() -> None:
    named = SETTING.findall(" ".join(column(ROOT / "README.md", "Setting")))
    assert set(named) <= all_settings()


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_a_page_assigns_exists(page: Path) -> None:
    assigned = {m[1] for line in code_of(page) if (m := re.match(r"([A-Z][A-Z0-9_]+)=", line))}
    assert assigned <= all_settings()


def test_the_example_settings_exist() -> None:
    text = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)) <= all_settings() | OF_COMPOSE


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors_of(target))


def root_command() -> Any:
    return typer.main.get_command(app)


def commands_of(command: Any) -> dict[str, Any]:
    """What a group holds; empty for a command of its own."""
    return getattr(command, "commands", {})


def problem_with(line: str) -> str | None:
    """Why a command line cannot be run; None when it can, as far as its names go."""
    words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    command = root_command()
    while words and not words[0].startswith("-") and commands_of(command):
        if words[0] not in commands_of(command):
            return f"no command {words[0]}"
        command = commands_of(command)[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    unknown = [
        word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options
    ]
    return f"no option {unknown[0]}" if unknown else None


def leaf_commands(command: Any, prefix: str = "") -> Iterator[str]:
    if not commands_of(command) or getattr(command, "invoke_without_command", False):
        yield prefix.strip()
    for name, sub in commands_of(command).items():
        yield from leaf_commands(sub, f"{prefix} {name}")


def all_settings() -> set[str]:
    """Every setting there is: the fields of all settings classes of both packages."""
    modules = ["core.settings", "core.providers.settings"]
    modules += [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("bot/*/settings.py")
    ]
    names: set[str] = set()
    for module in modules:
        for value in vars(import_module(module)).values():
            if isinstance(value, type) and issubclass(value, EnvironmentSettings):
                names |= {name.upper() for name in value.model_fields}
    return names

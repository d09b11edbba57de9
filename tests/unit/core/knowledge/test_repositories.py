"""Git repositories as sources: real ones, on this machine, fetched by the real program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from core.knowledge.documents import SyncReport
from core.knowledge.git import GitSource
from core.knowledge.ingest import Ingestor
from core.knowledge.locations import build_source
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore


class Ground:
    """A repository of somebody's, and an installation that reads it."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.home = folder / "runbooks", folder / "home"
        self.repository.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.store = InMemoryKnowledgeStore()
        self.ingestor = Ingestor(self.store, FakeEmbedder(), build=lambda at: build_source(at, self.home))
        self.location = f"git+file://{self.repository}"

    def git(self, *arguments: str) -> None:
        names = ("-c", "user.name=Ada", "-c", "user.email=ada@x.test")
        subprocess.run(["git", *names, *arguments], cwd=self.repository, check=True)  # noqa: S603, S607

    def commit(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.repository / f"{name}.md").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")

    async def sync(self) -> SyncReport:
        return await self.ingestor.sync([self.location])


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def test_the_newest_state_is_read_and_followed(ground: Ground) -> None:
    ground.commit(oncall="Call Ada.", deploy="Press the button.")
    first = await ground.sync()
    (ground.repository / "deploy.md").unlink()
    ground.commit(oncall="Call Grace.")
    second = await ground.sync()

    assert (first.added, first.failed) == (2, ())
    assert (second.updated, second.deleted, second.documents) == (1, 1, 1)
    (source,) = await ground.store.sources()
    assert (source.kind, source.uri) == ("git", ground.location)
    assert set(await ground.store.documents(source.id)) == {"runbooks/oncall.md"}


async def test_a_rewritten_history_is_followed_and_a_broken_copy_made_anew(ground: Ground) -> None:
    ground.commit(oncall="Call Ada.")
    await ground.sync()
    ground.git("commit", "--quiet", "--amend", "--message=other")
    ground.commit(oncall="Call Grace.")
    assert (await ground.sync()).updated == 1
    for lock in ground.home.rglob(".git"):
        (lock / "index.lock").touch()
        (lock / "HEAD").unlink()
    ground.commit(oncall="Call Linus.")
    report = await ground.sync()
    assert (report.updated, report.failed) == (1, ())


async def test_a_repository_that_is_away_keeps_what_was_read_and_says_so_in_our_words(ground: Ground) -> None:
    ground.commit(oncall="Call Ada.")
    await ground.sync()
    ground.repository.rename(ground.repository.with_name("moved"))

    report = await ground.sync()

    assert (report.documents, report.deleted) == (1, 0)
    (failed,) = report.failed
    assert failed.reason == "There is no Git repository at this address."


async def test_nothing_of_a_repository_is_run_and_its_links_lead_nowhere(
    ground: Ground, tmp_path: Path
) -> None:
    (tmp_path / "secret.md").write_text("The secret.")
    (ground.repository / "link.md").symlink_to(tmp_path / "secret.md")
    canary = tmp_path / "canary"
    for name in ("post-checkout", "post-merge"):
        hook = ground.repository / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)
    ground.commit(oncall="Call Ada.")
    template = ground.home / "repositories"
    await ground.sync()
    for hooks in template.rglob("hooks"):
        (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / "post-checkout").chmod(0o755)
    ground.commit(oncall="Call Grace.")
    await ground.sync()

    assert not canary.exists()
    source = GitSource(ground.location, ground.home)
    texts = [content.data for e in await source.entries() if (content := await source.read(e))]
    assert b"The secret." not in texts


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("https://github.com/org/repo.git", "https://github.com/org/repo/blob/HEAD/docs/a%20b.md"),
        ("https://gitlab.com/group/sub/repo", "https://gitlab.com/group/sub/repo/-/blob/HEAD/docs/a%20b.md"),
        ("https://git.example.com/org/repo.git", "repo/docs/a b.md"),
    ],
)
def test_a_document_is_called_by_its_web_view_where_the_host_has_one(
    address: str, uri: str, tmp_path: Path
) -> None:
    assert GitSource(f"git+{address}", tmp_path).view_of("repo/docs/a b.md") == uri


@pytest.mark.parametrize(
    "address", ["https://x.test/...git", "https://x.test/%2e%2e/..", "git@x.test:..git", "file:///."]
)
def test_an_address_never_leads_out_of_the_folder_of_copies(address: str, tmp_path: Path) -> None:
    source = GitSource(f"git+{address}", tmp_path)
    assert source.tree.resolve().is_relative_to(tmp_path / "repositories")
    assert source.tree.name not in ("", ".", "..")

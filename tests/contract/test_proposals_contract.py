"""Proposals in Git and in memory do the same; and what Git alone can get wrong."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from promptship.adapters.git import GitRepository
from promptship.adapters.git_propose import GitProposals
from promptship.adapters.git_remote import Remote
from promptship.adapters.memory.catalogue import MemoryProposals
from promptship.adapters.memory.repository import MemoryRepository
from promptship.errors import ConfigError, Conflict, NotFound, Unavailable
from promptship.ports import Repository
from promptship.ports.catalogue import Proposals
from tests.support.repositories import GitMaker, git

AT = datetime(2026, 5, 1, tzinfo=UTC)
FILES = {"prompts/ä b.yaml": b"model: a\n", "other.txt": b"stays"}


@pytest.fixture(params=["memory", "git", "bare"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Repository, Proposals]]:
    if request.param == "memory":
        memory = MemoryRepository()
        yield memory, memory, MemoryProposals(memory)
    else:
        maker = GitMaker(tmp_path / "repository", bare=request.param == "bare")
        yield maker, GitRepository(maker.path), GitProposals(maker.path)


def propose(
    proposals: Proposals, base: str, content: bytes = b"model: b\n", branch: str = "promptship/x"
) -> Any:
    return proposals.propose(
        branch, base=base, files={"prompts/ä b.yaml": content}, message="Model b\n\nBecause.", author="bot@example.com", at=AT
    )  # fmt: skip


def test_a_branch_with_one_commit_on_its_base(place: tuple[Any, Repository, Proposals]) -> None:
    maker, repository, proposals = place
    base = maker.commit(FILES)
    made = propose(proposals, base)
    assert repository.resolve("promptship/x").id == made.commit
    assert repository.resolve("main").id == base
    assert repository.changed(base, made.commit) == ("prompts/ä b.yaml",)
    assert repository.tree(made.commit).read("prompts/ä b.yaml") == b"model: b\n"
    assert repository.is_ancestor(base, made.commit)
    assert repository.resolve(made.commit).author == "bot@example.com"
    assert made.pushed_to == ""


def test_the_same_again_is_the_same_branch(place: tuple[Any, Repository, Proposals]) -> None:
    maker, _, proposals = place
    base = maker.commit(FILES)
    assert propose(proposals, base) == propose(proposals, base)


def test_a_branch_of_that_name_with_something_else_is_left_alone(
    place: tuple[Any, Repository, Proposals],
) -> None:
    maker, repository, proposals = place
    base = maker.commit(FILES)
    made = propose(proposals, base)
    with pytest.raises(Conflict):
        propose(proposals, base, b"model: c\n")
    assert repository.resolve("promptship/x").id == made.commit


def test_what_is_not_there_cannot_be_changed(place: tuple[Any, Repository, Proposals]) -> None:
    maker, _, proposals = place
    base = maker.commit({"other.txt": b"stays"})
    with pytest.raises(NotFound):
        propose(proposals, base)
    with pytest.raises(NotFound):
        propose(proposals, "f" * 40)


def test_nothing_is_checked_out_and_no_hook_runs(tmp_path: Path) -> None:
    maker = GitMaker(tmp_path / "repository", bare=False)
    base = maker.commit(FILES, modes={"prompts/ä b.yaml": "100755"})
    git(maker.path, "reset", "--quiet", "--hard")
    for hook in ("reference-transaction", "pre-push", "post-commit"):
        script = maker.path / ".git/hooks" / hook
        script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        script.chmod(0o755)
    made = propose(GitProposals(maker.path), base)
    assert git(maker.path, "status", "--porcelain") == ""
    assert git(maker.path, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(maker.path, "ls-tree", made.commit, "prompts/").startswith("100755")
    assert not (tmp_path / "ran").exists()


def test_it_is_pushed_where_there_is_a_remote_and_again_when_that_was_down(tmp_path: Path) -> None:
    maker = GitMaker(tmp_path / "repository", bare=False)
    base = maker.commit(FILES)
    origin = tmp_path / "origin.git"
    git(maker.path, "remote", "add", "origin", str(origin))
    proposals = GitProposals(maker.path)
    with pytest.raises(Unavailable, match="remote origin"):
        propose(proposals, base)
    subprocess.run(["git", "init", "--quiet", "--bare", str(origin)], check=True)
    made = propose(proposals, base)
    assert made.pushed_to == "origin"
    assert git(origin, "rev-parse", "refs/heads/promptship/x") == made.commit
    assert propose(proposals, base) == made
    assert propose(GitProposals(maker.path, remote=""), base).pushed_to == ""


def test_of_a_mirror_it_goes_to_what_is_mirrored_and_outlives_the_next_fetch(tmp_path: Path) -> None:
    maker = GitMaker(tmp_path / "origin.git", bare=True)
    base = maker.commit(FILES)
    remote, mirror = Remote(address=str(maker.path)), tmp_path / "mirror.git"
    remote.fetch(mirror)
    made = propose(GitProposals(mirror, remote=remote), base)
    assert made.pushed_to == remote.shown
    remote.fetch(mirror)
    assert (
        git(maker.path, "rev-parse", "promptship/x")
        == git(mirror, "rev-parse", "promptship/x")
        == made.commit
    )
    gone = Remote(address=str(tmp_path / "nowhere.git"))
    with pytest.raises(Unavailable, match="does not take refs/heads/promptship/y"):
        propose(GitProposals(mirror, remote=gone), base, branch="promptship/y")


@pytest.mark.parametrize("branch", ["-x", "a..b", "a b", "", "refs heads"])
def test_a_name_that_is_no_branch_is_refused(tmp_path: Path, branch: str) -> None:
    maker = GitMaker(tmp_path / "repository", bare=True)
    base = maker.commit(FILES)
    with pytest.raises(ConfigError):
        propose(GitProposals(maker.path), base, branch=branch)

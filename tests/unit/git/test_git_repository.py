"""What only Git can do to us: modes, links, odd commits, other people's configuration."""

import os
import time
from pathlib import Path

import pytest

from promptship.adapters.git import GitRepository
from promptship.errors import ConfigError, NotFound, Unavailable
from tests.support.repositories import GitMaker, git

ZEROS = "0" * 40


@pytest.fixture
def maker(tmp_path: Path) -> GitMaker:
    return GitMaker(tmp_path / "repo", bare=True)


def test_links_submodules_and_paths_that_are_not_utf_8_are_left_out(maker: GitMaker) -> None:
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    files: dict[str, bytes | None] = {
        "file": b"1", "script": b"2", "link": b"/etc/passwd", "module": b"a" * 40, odd: b"3"
    }  # fmt: skip
    commit = maker.commit(files, modes={"link": "120000", "module": "160000", "script": "100755"})
    repository = GitRepository(maker.path)
    tree = repository.tree(commit)
    assert list(tree.files()) == list(repository.changed(ZEROS, commit)) == ["file", "script"]
    for path in ("link", "module", odd):
        with pytest.raises(NotFound):
            tree.read(path)


def test_a_new_mode_alone_is_no_change_but_a_link_that_becomes_a_file_is(maker: GitMaker) -> None:
    before = maker.commit({"script": b"same", "was link": b"target"}, modes={"was link": "120000"})
    after = maker.commit({"script": b"same", "was link": b"file now"}, modes={"script": "100755"})
    assert list(GitRepository(maker.path).changed(before, after)) == ["was link"]


def test_line_ends_and_attributes_change_nothing(maker: GitMaker) -> None:
    commit = maker.commit(
        {"a.txt": b"1\r\n$Id$\r\n", ".gitattributes": b"*.txt text eol=lf ident filter=evil\n"}
    )
    git(maker.path, "config", "filter.evil.smudge", "sh -c 'echo smudged'")
    git(maker.path, "config", "core.autocrlf", "true")
    assert GitRepository(maker.path).tree(commit).read("a.txt") == b"1\r\n$Id$\r\n"


def test_commands_in_the_repositorys_configuration_are_not_run(maker: GitMaker, tmp_path: Path) -> None:
    trap, mark = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {mark}\n")
    trap.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "diff.external",
        "gpg.program",
        "core.pager",
        "core.sshCommand",
        "core.editor",
    ):
        git(maker.path, "config", key, str(trap))
    git(maker.path, "config", "log.showSignature", "true")
    first = maker.commit({"a": b"1"})
    second = maker.commit({"a": b"2"})
    repository = GitRepository(maker.path)
    repository.resolve("main")
    repository.tree(second).read("a")
    assert list(repository.changed(first, second)) == ["a"]
    assert not mark.exists()


def test_a_replaced_object_is_read_as_it_was_committed(maker: GitMaker) -> None:
    real = maker.commit({"a": b"real"})
    fake = maker.commit({"a": b"fake"}, branch="other")
    git(maker.path, "replace", real, fake)
    assert GitRepository(maker.path).tree(real).read("a") == b"real"


def test_gits_variables_of_a_hook_do_not_lead_elsewhere(
    maker: GitMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = GitMaker(tmp_path / "other", bare=True)
    other.commit({"b": b"other"})
    commit = maker.commit({"a": b"mine"})
    monkeypatch.setenv("GIT_DIR", str(other.path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / "objects"))
    assert GitRepository(maker.path).resolve("main").id == commit


def test_a_directory_inside_another_repository_is_not_that_repository(tmp_path: Path) -> None:
    outer = GitMaker(tmp_path / "outer", bare=False)
    outer.commit({"a": b"1"})
    inner = outer.path / "inner"
    inner.mkdir()
    with pytest.raises(ConfigError, match="not a git repository"):
        GitRepository(inner).resolve("main")


def test_no_repository_says_which_path_and_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError) as caught:
            GitRepository(path).resolve("main")
        (problem,) = caught.value.problems
        assert (problem.key, problem.got) == ("repository.url", str(path))
        assert problem.advice


def test_no_git_says_to_install_it(maker: GitMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="install Git"):
        GitRepository(maker.path).resolve("main")


def test_a_git_that_hangs_is_unavailable(
    maker: GitMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="took longer"):
        GitRepository(maker.path, timeout_s=0.1).resolve("main")
    assert time.monotonic() - began < 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_that_belongs_to_somebody_else_is_read(maker: GitMaker) -> None:
    commit = maker.commit({"a": b"1"})
    for directory, _, files in os.walk(maker.path):
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            os.chown(path, 12345, 12345)
    assert GitRepository(maker.path).tree(commit).read("a") == b"1"


@pytest.mark.parametrize(
    ("author", "committed", "expected"),
    [
        ("Mira <Mira@Example.ORG>", "0", ("mira@example.org", 0)),
        ("<>", "0", ("", 0)),
        ("A B <  a b@x >", "1767225600", ("a b@x", 1767225600)),
        ("Ü <ü@x>", "999999999999", ("ü@x", 0)),
    ],
)
def test_odd_commits_are_read(
    maker: GitMaker, author: str, committed: str, expected: tuple[str, int]
) -> None:
    tree = git(maker.path, "hash-object", "-t", "tree", "-w", "--stdin")
    raw = f"tree {tree}\nauthor {author} 1 +0000\ncommitter {author} {committed} +0000\n\nsub\nject\n\nbody <x@y> 5 +0000\n"
    commit = git(
        maker.path, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=raw.encode()
    )
    found = GitRepository(maker.path).resolve(commit)
    assert (found.author, int(found.at.timestamp()), found.subject) == (*expected, "sub ject")

"""What every repository does: the one in memory and Git's, bare or not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from promptship.adapters.git import GitRepository
from promptship.adapters.memory.repository import MemoryRepository
from promptship.errors import NotFound
from promptship.ports import Repository
from tests.support.repositories import GitMaker

ZEROS = "0" * 40
UNKNOWN = "9" * 40


class Made(NamedTuple):
    write: MemoryRepository | GitMaker
    read: Repository


@pytest.fixture(params=["memory", "bare", "working copy"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    if request.param == "memory":
        memory = MemoryRepository()
        yield Made(memory, memory)
    else:
        maker = GitMaker(tmp_path / "repo", bare=request.param == "bare")
        yield Made(maker, GitRepository(maker.path))


def test_resolves_branch_tag_hash_and_short_hash(made: Made) -> None:
    first = made.write.commit({"a": b"1"})
    made.write.tag("v1", first)
    second = made.write.commit({"a": b"2"})
    assert made.read.resolve("main").id == second
    assert made.read.resolve("refs/heads/main").id == second
    assert (
        made.read.resolve("v1").id == made.read.resolve(first).id == made.read.resolve(first[:10]).id == first
    )


def test_a_commit_says_who_when_and_what(made: Made) -> None:
    at = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    commit = made.read.resolve(
        made.write.commit({"a": b"1"}, author="Mira@Example.org", subject="Be kind — π", at=at)
    )
    assert (commit.author, commit.at, commit.subject) == ("mira@example.org", at, "Be kind — π")


NO_REFS = ["nowhere", UNKNOWN, "", "-h", "--output=x", "main..main", ":/change", "a\nb", "a\0b", "main:a"]


def test_an_unknown_ref_is_not_found(made: Made) -> None:
    made.write.commit({"a": b"1"})
    for ref in NO_REFS:
        with pytest.raises(NotFound):
            made.read.resolve(ref)
    with pytest.raises(NotFound):
        made.read.tree("nowhere")
    with pytest.raises(NotFound):
        made.read.changed(ZEROS, "nowhere")


def test_an_empty_repository_has_no_commit(made: Made) -> None:
    with pytest.raises(NotFound):
        made.read.resolve("main")


def test_reads_any_path_and_any_bytes_as_committed(made: Made) -> None:
    files = {
        "prompts/ein Gruß.yaml": b"\xff\x00\r\n binary \n",
        "prompts/new\nline.txt": b"",
        'prompts/"quoted"\\.txt': b"q",
        "prompts/日本語/🙂.md": "ü\n".encode(),
    }
    tree = made.read.tree(made.write.commit(files))
    assert list(tree.files()) == sorted(files)
    assert {path: tree.read(path) for path in tree.files()} == files
    for missing in ("prompts", "prompts/", "nope", "../a", "/etc/passwd", ""):
        with pytest.raises(NotFound):
            tree.read(missing)


def test_a_tree_is_that_commit_for_ever(made: Made) -> None:
    first = made.write.commit({"a": b"1", "b": b"1"})
    tree = made.read.tree(first)
    made.write.commit({"a": b"2", "b": None})
    assert (tree.read("a"), list(tree.files())) == (b"1", ["a", "b"])
    assert first.startswith(tree.name)


def test_changed_lists_added_and_modified_paths_only(made: Made) -> None:
    before = made.write.commit({"kept": b"1", "edited": b"1", "deleted": b"1", "old name": b"same"})
    after = made.write.commit(
        {"edited": b"2", "added": b"1", "deleted": None, "old name": None, "new name": b"same"}
    )
    assert list(made.read.changed(before, after)) == ["added", "edited", "new name"]
    assert list(made.read.changed(after, before)) == ["deleted", "edited", "old name"]
    assert list(made.read.changed(after, after)) == []


def test_changed_from_nothing_is_every_file(made: Made) -> None:
    after = made.write.commit({"b": b"1", "a": b"1"})
    assert list(made.read.changed(ZEROS, after)) == ["a", "b"]


def test_changed_from_an_unknown_commit_is_not_found(made: Made) -> None:
    after = made.write.commit({"a": b"1"})
    with pytest.raises(NotFound):
        made.read.changed(UNKNOWN, after)


def test_a_commit_is_built_on_its_ancestors_and_on_itself(made: Made) -> None:
    first = made.write.commit({"a": b"1"})
    second = made.write.commit({"a": b"2"})
    third = made.write.commit({"a": b"1"})
    assert made.read.is_ancestor(first, third)
    assert made.read.is_ancestor(second, second)
    assert not made.read.is_ancestor(third, first)
    with pytest.raises(NotFound):
        made.read.is_ancestor(UNKNOWN, third)
    with pytest.raises(NotFound):
        made.read.is_ancestor(first, UNKNOWN)


def test_histories_that_have_nothing_in_common_are_not_built_on_each_other(made: Made) -> None:
    here = made.write.commit({"a": b"1"})
    there = made.write.commit({"a": b"2"}, branch="other")
    assert not made.read.is_ancestor(here, there)


def test_removed_paths_are_those_that_are_gone(made: Made) -> None:
    before = made.write.commit({"prompts/späte antwort.yaml": b"1", "b": b"1", "c": b"1"})
    after = made.write.commit({"prompts/späte antwort.yaml": None, "b": b"2", "d": b"1"})
    assert list(made.read.removed(before, after)) == ["prompts/späte antwort.yaml"]
    assert list(made.read.removed(after, before)) == ["d"]
    assert list(made.read.removed(ZEROS, after)) == []
    with pytest.raises(NotFound):
        made.read.removed(UNKNOWN, after)


def test_the_merge_base_is_where_two_lines_part(made: Made) -> None:
    root = made.write.commit({"a": b"1"})
    made.write.tag("root", root)
    main = made.write.commit({"a": b"2"})
    other = made.write.commit({"z": b"1"}, branch="unrelated", subject="another beginning")
    assert made.read.merge_base(root, main) == made.read.merge_base(main, root) == root
    assert made.read.merge_base(main, main) == main
    assert made.read.merge_base(main, other) is None
    with pytest.raises(NotFound):
        made.read.merge_base(main, UNKNOWN)


def test_without_a_remote_a_fetch_changes_nothing(made: Made) -> None:
    commit = made.write.commit({"a": b"1"})
    made.read.fetch()
    made.read.fetch("refs/pull/7/head")
    assert made.read.resolve("main").id == commit

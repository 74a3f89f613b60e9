import os
from pathlib import Path

import pytest

from promptship.adapters.files import WorkingTree
from promptship.errors import NotFound
from promptship.ports import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "root"
    for path in (
        "prompts/a.yaml",
        "prompts/deep/b.txt",
        ".github/c.md",
        ".git/config",
        "node_modules/x/y.md",
        "z",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (tmp_path / "secret").write_text("outside")
    (root / "inside-link").symlink_to("z")
    (root / "outside-link").symlink_to(tmp_path / "secret")
    (root / "broken-link").symlink_to("nothing")
    return WorkingTree(root)


def test_files_are_sorted_relative_paths_without_version_control(tree: Tree) -> None:
    assert tree.files() == [".github/c.md", "inside-link", "prompts/a.yaml", "prompts/deep/b.txt", "z"]


def test_content_is_bytes(tree: Tree) -> None:
    assert tree.read("prompts/deep/b.txt") == b"prompts/deep/b.txt"
    assert tree.read("inside-link") == b"z"


@pytest.mark.parametrize(
    "path",
    ["nothing", "prompts", "../secret", "/etc/hostname", "outside-link", "broken-link", "z/x", "a\0b", ""],
)
def test_what_is_not_a_file_below_the_root_is_not_found(tree: Tree, path: str) -> None:
    with pytest.raises(NotFound):
        tree.read(path)


def test_the_name_is_the_directory(tmp_path: Path) -> None:
    assert WorkingTree(tmp_path).name == os.fspath(tmp_path.resolve())

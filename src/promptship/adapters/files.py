"""Trees on this disk: the working directory, which `promptship lint` looks at before there is a commit, and commits put there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable
from uuid import uuid4

from promptship.errors import NotFound, Unavailable
from promptship.ports import Tree

SKIPPED: Final = frozenset(
    {".git", ".hg", ".jj", ".promptship", ".venv", "__pycache__", "node_modules", "venv"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"}
)
"""Directories that are never part of a prompt repository; `.gitignore` is not read."""


@runtime_checkable
class OnDisk(Tree, Protocol):
    """A tree whose files are on this disk, too: scripts of a suite import what stands beside them."""

    @property
    def directory(self) -> Path:
        """Where its root is."""
        ...


class WorkingTree:
    """`ports.Tree` over a directory, read at the moment it is asked. Links that lead out of it are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def name(self) -> str:
        """The directory, as errors show it."""
        return str(self._root)

    @property
    def directory(self) -> Path:
        """See `OnDisk`."""
        return self._root

    def read(self, path: str) -> bytes:
        """Content of a file below the root. Raises NotFound, also for directories, absolute paths and ways out."""
        try:
            target = (self._root / path).resolve()
            if target.is_relative_to(self._root):
                return target.read_bytes()
        except (OSError, ValueError):
            # A directory, no permission, a character that no path can have: there is nothing to read here.
            pass
        message = f"no readable file {path!r} in {self.name}"
        raise NotFound(message)

    def files(self) -> Sequence[str]:
        """Relative paths of all files, sorted, with `/`; without version control, caches and environments."""
        found: list[str] = []
        for directory, names, files in os.walk(self._root):
            names[:] = [name for name in names if name not in SKIPPED]
            paths = [Path(directory, file) for file in files]
            found += (path.relative_to(self._root).as_posix() for path in paths if self._is_ours(path))
        return sorted(found)

    def _is_ours(self, path: Path) -> bool:
        """A file; a link only when it ends at a file below the root."""
        return not path.is_symlink() or (path.is_file() and path.resolve().is_relative_to(self._root))


class CheckedOut:
    """A tree of a commit, one folder of which is put on this disk as well, under `directory`.

    Several may do so at once: a file is there whole or not at all, and a commit's files never change.

    Raises:
        Unavailable: the disk does not take it.
    """

    def __init__(self, tree: Tree, folder: str, directory: Path) -> None:
        self._tree = tree
        self._directory = directory.resolve()
        prefix = folder.strip("/") + "/" if folder.strip("/") else ""
        for path in tree.files():
            target = (self._directory / path).resolve()
            if not path.startswith(prefix) or not target.is_relative_to(self._directory) or target.exists():
                continue
            draft = target.with_name(f".{target.name}.{uuid4().hex}")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                draft.write_bytes(tree.read(path))
                draft.replace(target)
            except OSError as error:
                said = error.strerror or type(error).__name__
                raise Unavailable(f"{target} cannot be written: {said}") from None

    @property
    def name(self) -> str:
        """The commit, as errors show it."""
        return self._tree.name

    @property
    def directory(self) -> Path:
        """See `OnDisk`."""
        return self._directory

    def read(self, path: str) -> bytes:
        """Content of a file of the commit. Raises NotFound."""
        return self._tree.read(path)

    def files(self) -> Sequence[str]:
        """Relative paths of all files of the commit, sorted."""
        return self._tree.files()

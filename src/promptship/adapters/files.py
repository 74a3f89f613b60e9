"""The working directory as a tree: what `promptship lint` looks at before there is a commit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from promptship.errors import NotFound

SKIPPED: Final = frozenset(
    {".git", ".hg", ".jj", ".promptship", ".venv", "__pycache__", "node_modules", "venv"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"}
)
"""Directories that are never part of a prompt repository; `.gitignore` is not read."""


class WorkingTree:
    """`ports.Tree` over a directory, read at the moment it is asked. Links that lead out of it are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def name(self) -> str:
        """The directory, as errors show it."""
        return str(self._root)

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

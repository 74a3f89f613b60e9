"""Files that a JavaScript file of a suite may read: what stands below its directories. Standard library only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from promptship.evals.scripts.javascript_modules import as_function

FILE_BYTES_MAX: Final = 8 << 20
FILES_MAX: Final = 2000
ENDINGS: Final = ("", ".js", ".cjs", ".mjs", ".json", "/index.js", "/index.mjs")
"""What `require` and `import` try, in this order."""
TYPESCRIPT: Final = (".ts", ".mts", ".cts", ".tsx")

_WANTED: Final = re.compile(
    r"""(?:\brequire\s*\(|\bfrom|\bimport\s*\(?)\s*(['"])(\.{1,2}/[^'"\n]+|/[^'"\n]+)\1"""
)

Entry = dict[str, Any] | None
"""`{"code", "kind", "raw"}`, `{"denied": true}`, or None: there is no such file."""


class Files:
    """Sources by absolute path, read when somebody asks."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [Path(root).resolve() for root in roots]
        self.entries: dict[str, Entry] = {}
        self._times: dict[str, int] = {}

    def put(self, path: str, code: str) -> None:
        """A file whose text is known; what it asks for by name is read, too."""
        self.entries[path] = entry(path, code)
        if path:
            self._times[path] = _changed(path)
            self._read_wanted(path, code)

    def read(self, paths: Iterable[str]) -> None:
        """Whatever is there under these paths."""
        for path in paths:
            if path not in self.entries and len(self.entries) < FILES_MAX:
                self._read(path)

    @property
    def is_stale(self) -> bool:
        """Whether a file was changed since."""
        return any(_changed(path) != time for path, time in self._times.items())

    def _read(self, path: str) -> None:
        real = Path(path).resolve()
        self.entries[path] = None
        if not real.is_file():
            return
        if not any(real.is_relative_to(root) for root in self._roots):
            self.entries[path] = {"denied": True}
            return
        try:
            if real.stat().st_size > FILE_BYTES_MAX:
                return
            code = real.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return
        self.put(path, code)

    def _read_wanted(self, path: str, code: str) -> None:
        for _, what in _WANTED.findall(code):
            base = os.path.normpath(
                Path(path).parent / what
            )  # as text, like JavaScript: links are not followed
            self.read(base + ending for ending in ENDINGS)


def entry(path: str, code: str) -> Entry:
    """How a file is to be run."""
    ending = Path(path).suffix
    if ending == ".json":
        return {"code": code, "kind": "json", "raw": code}
    if ending in TYPESCRIPT:
        return {"code": typescript(path), "kind": "unsupported", "raw": code}
    body, is_module = as_function(code)
    kind = "esm" if ending == ".mjs" or (is_module and ending != ".cjs") else "cjs"
    return {"code": body, "kind": kind, "raw": code}


def typescript(path: str) -> str:
    """What is said about a TypeScript file."""
    return f"{Path(path).name} is TypeScript, which is not supported: compile it to JavaScript"


def _changed(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0

"""Content addresses: equal ones mean that nothing has changed that decides about a row."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

from promptship.evals.promptfoo.calling import split_function
from promptship.evals.promptfoo.included import templates_of


class Contents:
    """Digests of data with the files it names; each file is read once in the life of this."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._files: dict[str, str] = {}

    def digest(self, value: Any) -> str:
        """Of plain data, and of what is in the files that it names as `file://path` or in its templates."""
        named: dict[str, str] = {}
        self._look(value, named)
        return hashlib.sha256(
            orjson.dumps([value, named], default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        ).hexdigest()

    def _look(self, value: Any, named: dict[str, str]) -> None:
        if isinstance(value, str):
            if value.startswith("file://"):
                named[value] = self._file(value)
            for name, content in templates_of(value, Path.cwd()).items():
                named[f"template {name}"] = hashlib.sha256(content or b"").hexdigest()
        elif isinstance(value, dict):
            for item in value.values():
                self._look(item, named)
        elif isinstance(value, list | tuple):
            for item in value:
                self._look(item, named)

    def _file(self, reference: str) -> str:
        path = str((self._base / split_function(reference)[0]).resolve())
        if path not in self._files:
            try:
                self._files[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError:
                self._files[path] = ""  # whatever needs it says so
        return self._files[path]

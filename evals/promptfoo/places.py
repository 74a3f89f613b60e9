"""Where in the team's files something stands: file, line and key, for messages about tests and their assertions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.document import Document
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.yaml_text import read_document

_INSIDE: Final = re.compile(r"(?P<file>.+?): (?P<place>(?:tests|scenarios)\[\d+\].*|defaultTest)", re.DOTALL)
"""A test that is written out in the configuration."""
_LISTED: Final = re.compile(r"(?P<file>.+)(?P<place>\[\d+\])", re.DOTALL)
"""An element of a file of tests."""
_BYTES_MAX: Final = 1_000_000
"""The lines of a longer file are not looked up: it would be read a second time."""
_DATA: Final = frozenset({".yaml", ".yml", ".json"})


@dataclass(slots=True)
class Places:
    """Finds lines; every file is read at most once."""

    config: Config
    _documents: dict[str, Document | None] = field(default_factory=dict)

    def problem(self, problem: Problem) -> Problem:
        """The same with its line, when that can be found."""
        file, key, line = self._found(problem.file, problem.key)
        return replace(problem, file=file, key=key, line=problem.line or line)

    def shown(self, where: str, key: str = "") -> str:
        """`file:line: key`, for a note."""
        file, key, line = self._found(where, key)
        place = f"{file}:{line}" if line else file
        return f"{place}: {key}" if key else place

    def _found(self, where: str, key: str) -> tuple[str, str, int]:
        last = where.rpartition(", ")[2]  # a scenario comes before its test
        inside = _INSIDE.fullmatch(last)
        listed = None if inside else _LISTED.fullmatch(last)
        match = inside or listed
        if match is None or Path(match["file"]).suffix.lower() not in _DATA:
            return where, key, 0
        place, file = match["place"], match["file"]
        full = f"{place}.{key}" if key else place
        if inside and len(self.config.paths) > 1:
            return file, full, 0  # numbers count over all files
        document = self._document(file)
        return file, full, 0 if document is None else document.line(full)

    def _document(self, file: str) -> Document | None:
        if file not in self._documents:
            try:
                content = Path(file).read_bytes() if Path(file).stat().st_size <= _BYTES_MAX else b""
                self._documents[file] = read_document(file, content) if content else None
            except (OSError, ConfigError):
                self._documents[file] = None
        return self._documents[file]


def assertions_of(cases: Sequence[TestCase], config: Config) -> Iterator[tuple[Any, str, str]]:
    """Each assertion once, members of sets too, with where it is first used and its key there."""
    default = config.default_test.get("assert")
    inherited = {id(raw): place for place, raw in enumerate(default if isinstance(default, list) else ())}
    file = str(config.paths[0]) if config.paths else str(config.base)
    seen: set[int] = set()
    for case in cases:
        asserts: tuple[Any, ...] = case.asserts  # not looked at yet
        own = 0
        for raw in asserts:
            place = inherited.get(id(raw))
            where, number = (case.where, own) if place is None else (f"{file}: defaultTest", place)
            own += place is None
            if id(raw) in seen:
                continue
            seen.add(id(raw))
            yield raw, where, f"assert[{number}]"
            members = raw.get("assert") if isinstance(raw, dict) else None
            for inner, member in enumerate(members if isinstance(members, list) else ()):
                yield member, where, f"assert[{number}].assert[{inner}]"

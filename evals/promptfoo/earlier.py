"""Results of an earlier run, promptfoo's or ours: which of its tests did not pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.results import ERROR, FAILED, written

_OPTION = "--filter"


class Missed(StrEnum):
    """Which results are taken again."""

    FAILING = "failing"  # whatever did not pass
    FAILING_ONLY = "failing-only"  # an assertion failed
    ERRORS_ONLY = "errors-only"  # there was no answer, or no score


_REASONS = {
    Missed.FAILING: frozenset({FAILED, ERROR}), Missed.FAILING_ONLY: frozenset({FAILED}),
    Missed.ERRORS_ONLY: frozenset({ERROR}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Earlier:
    """Tests by what they are called and by their variables."""

    tests: frozenset[bytes]

    def has(self, variables: Mapping[str, Any], description: Any) -> bool:
        """Whether a test was among them."""
        return _key(variables, description) in self.tests

    @classmethod
    def read(cls, path: Path, which: Missed) -> Earlier:
        """Of a result file: JSON or JSONL. Raises ConfigError: it cannot be read, or holds no results."""
        found = set()
        try:
            for result in _results(path.read_bytes()):
                if not result["success"] and result["failureReason"] in _REASONS[which]:
                    test = result["testCase"]
                    found.add(_key(test.get("vars") or {}, test.get("description")))
        except OSError as error:
            raise _wrong(path, f"not readable ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _wrong(path, "no result file") from None
        return cls(frozenset(found))


def _results(content: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        yield from (orjson.loads(line) for line in content.splitlines() if line.strip())
    else:
        yield from data["results"]["results"] if "results" in data else [data]


def _key(variables: Mapping[str, Any], description: Any) -> bytes:
    return orjson.dumps([written(variables), description or ""], option=orjson.OPT_SORT_KEYS, default=str)


def _wrong(path: Path, got: str) -> ConfigError:
    expected = "expected a .json or .jsonl file that an earlier run wrote with -o"
    return ConfigError([Problem("promptship eval", _OPTION, f"{path}, {got}", expected)])

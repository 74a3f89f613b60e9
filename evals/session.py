"""One run on disk: what it is about in `run.json`, a line per finished trial in `rows.jsonl` (`promptship.evals.row_log`).

Rows hold answers, so the directory is its owner's alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import orjson

from promptship.errors import ConfigError, NotFound, Problem
from promptship.evals.row_log import RowLog, disk_error, json_line, read_rows
from promptship.evals.rows import ArmFacts, CaseFacts, Row
from promptship.evals.suite_file import Severity

RUNS: Final = "runs"
FACTS: Final = "run.json"
ROWS: Final = "rows.jsonl"
LAST: Final = "last"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run is about. `digest` is of all inputs: only a run of equal inputs goes on."""

    id: str
    at: datetime
    what: str
    """For people: the suite, or the configuration file."""
    digest: str
    arms: tuple[ArmFacts, ...]
    cases: tuple[CaseFacts, ...]
    trials: int = 0
    """Rows of a complete run."""


class Session:
    """A run that is being written; `close` or `with` when done. One process at a time."""

    def __init__(self, directory: Path, facts: RunFacts) -> None:
        self.directory = directory
        self.facts = facts
        self._log = RowLog(directory / ROWS)

    @classmethod
    def create(
        cls,
        data: Path,
        *,
        what: str,
        digest: str,
        arms: Sequence[ArmFacts],
        cases: Sequence[CaseFacts],
        trials: int = 0,
        at: datetime | None = None,
    ) -> Self:
        """A new run under `<data>/runs/`. Raises Unavailable when the disk does not take it."""
        at = at or datetime.now(UTC)
        run_id = f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        facts = RunFacts(
            id=run_id, at=at, what=what, digest=digest, arms=tuple(arms), cases=tuple(cases), trials=trials
        )
        directory = data / RUNS / run_id
        try:
            directory.mkdir(mode=0o700, parents=True)
            draft = directory / f".{FACTS}"
            draft.write_bytes(json_line(facts))
            draft.replace(directory / FACTS)
        except OSError as error:
            raise disk_error(directory, error) from None
        return cls(directory, facts)

    @classmethod
    def resume(cls, data: Path, run: str = LAST, *, digest: str) -> Self:
        """The run with this id (or the `last` one), to go on with.

        Raises:
            NotFound: there is no such run.
            ConfigError: the inputs have changed since.
            Conflict: another process is at it.
        """
        facts = load_facts(data, run)
        if facts.digest != digest:
            got = f"about other inputs ({facts.what}, begun {facts.at:%Y-%m-%d %H:%M} UTC)"
            expected = (
                "expected the same prompts, cases and settings: suite, prompts or options have changed since"
            )
            advice = "start a new run; answers that are still right come from the cache"
            raise ConfigError([Problem(f"run {facts.id}", "", got, expected, advice)])
        return cls(data / RUNS / facts.id, facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, row: Row) -> None:
        """Keep a row (`promptship.evals.runner.OnRow`). Raises Unavailable when the disk does not take it."""
        self._log.add(row)

    def rows(self) -> Iterator[Row]:
        """One per trial, the latest; one at a time in memory."""
        return self._log.rows()

    def close(self) -> None:
        """Make sure that a power cut loses nothing either."""
        self._log.close()


def run_ids(data: Path) -> tuple[str, ...]:
    """Every run, oldest first."""
    return tuple(sorted(path.parent.name for path in (data / RUNS).glob(f"*/{FACTS}")))


def load_facts(data: Path, run: str = LAST) -> RunFacts:
    """What a run is about. Raises NotFound (no such run), ConfigError (its file is damaged)."""
    known = run_ids(data)
    wanted = known[-1:] if run == LAST else [one for one in known if one == run]
    if not wanted:
        there = f"the last is {known[-1]}" if known else "there is none"
        raise NotFound(f"no run {run!r} in {data / RUNS}; {there}")
    path = data / RUNS / wanted[0] / FACTS
    try:
        return _facts(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            [Problem(str(path), "", f"unreadable: {error}", "expected the facts of a run", "start a new one")]
        ) from None


def rows_of(data: Path, run: str = LAST) -> Iterator[Row]:
    """Rows of a run, finished or not, for reports: one per trial. Raises NotFound, ConfigError."""
    return read_rows(data / RUNS / load_facts(data, run).id / ROWS)


def _facts(data: dict[str, Any]) -> RunFacts:
    cases = [
        {**case, "severity": Severity(case["severity"]), "tags": tuple(case["tags"])}
        for case in data["cases"]
    ]
    return RunFacts(
        id=data["id"], at=datetime.fromisoformat(data["at"]), what=data["what"], digest=data["digest"],
        arms=tuple(_built(ArmFacts, arm) for arm in data["arms"]),
        cases=tuple(_built(CaseFacts, case) for case in cases), trials=data["trials"],
    )  # fmt: skip


def _built(kind: Callable[..., T], data: dict[str, Any]) -> T:
    """What this version knows of it."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in data.items() if name in known})

"""Lines -> validated, aggregated numbers, by an in-memory DuckDB. Nothing is stored here; a batch lives until the next one.

Validation is strict and vectorised. Lines with the same keys and JSON types have the same *shape*, of which there are few, so each
shape is judged once against the model. Ranges are one CASE per line in SQL.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel

from promptship.adapters.telemetry.segments import Slice, tails
from promptship.adapters.telemetry.spool import OBSERVATIONS
from promptship.adapters.telemetry.tables import NO_RELEASE, NO_STAGE, TRAFFIC_KEY
from promptship.adapters.telemetry.validity import RULES, WORD, layout, shape_problem
from promptship.routing.observation import Observation

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HISTORY_BUCKET_MS: Final = 300_000
"""Width of the buckets of traffic outside any release, if the configured one is not wider: history needs no finer ones."""
HOUR_MS: Final = 3_600_000
SHAPES_MAX: Final = 10_000
"""Shapes that are remembered: somebody who writes random keys must not fill the memory."""
SAMPLE_ROWS_MAX: Final = 20_000
SAMPLE_BYTES_MAX: Final = 8 * 1024 * 1024
SAMPLE_COLUMNS: Final = ("at_ms", "arm", "latency_ms", "status")


@dataclass(frozen=True, slots=True)
class Ids:
    """Request ids of one hour, as a JSON list of strings."""

    hour: int
    json: str
    count: int


@dataclass(frozen=True, slots=True)
class Group:
    """What one bucket gains: `sums` in the order of `TRAFFIC_SUMS`, `bins` a latency histogram."""

    key: tuple[Any, ...]
    sums: list[Any]
    bins: dict[int, int]

    def add(self, sums: Sequence[Any], bins: Mapping[int, int]) -> None:
        """Add to it."""
        self.sums[:] = [mine + more for mine, more in zip(self.sums, sums, strict=True)]
        for number, requests in bins.items():
            self.bins[number] = self.bins.get(number, 0) + requests


class Parser:
    """One DuckDB, one batch at a time. Not thread-safe: hold `lock` from `load` to the last read."""

    def __init__(self, bucket_s: float) -> None:
        import duckdb

        self.lock = threading.Lock()
        self._duck: DuckDBPyConnection = duckdb.connect(":memory:")
        # DuckDB complains on stderr about connections that are open when the interpreter ends.
        self._close = weakref.finalize(self, self._duck.close)
        self._duck.execute("SET threads = 1").fetchall()
        self._width_ms = max(1, round(bucket_s * 1000))
        self._shapes: dict[tuple[type[BaseModel], int], str | None] = {}

    def close(self) -> None:
        """Free the memory. The parser cannot be used afterwards."""
        self._close()

    def load(self, model: type[BaseModel], taken: Sequence[Slice]) -> dict[int, str]:
        """Read the slices' lines as the current batch; returns bad lines: 1-based number -> reason. Blank lines are nothing."""
        import duckdb

        lines, bad = _lines(b"".join(piece.data for piece in taken))
        self._give(lines)
        try:
            self._parse(model)
        except duckdb.InvalidInputException:  # At least one line is not JSON: find which, and leave them out.
            broken = self._broken()
            bad |= broken
            self._give(["" if number in broken else line for number, line in enumerate(lines, 1)])
            self._parse(model)
        wrong = self._odd_words() | self._out_of_range(model) | self._wrong_shapes(model, lines)
        self._duck.unregister("given")
        if wrong:
            self._duck.execute("DELETE FROM rows WHERE n IN (SELECT unnest($1))", [list(wrong)]).fetchall()
        return bad | wrong

    def count(self) -> int:
        """Records in the batch."""
        return int(self._all("SELECT count(*) FROM rows")[0][0])

    def ids(self) -> list[Ids]:
        """Request ids, by hour."""
        rows = self._all(
            f"SELECT at_ms // {HOUR_MS} AS hour, to_json(list(id)), count(*) FROM rows GROUP BY hour ORDER BY hour"  # noqa: S608
        )
        return [Ids(*row) for row in rows]

    def drop_duplicates(self, seen: Iterable[tuple[int, str]]) -> int:
        """Take out records whose (hour, id) was counted before, and all but the first of those that are twice in the batch."""
        before = self.count()
        pairs = list(seen)
        self._duck.execute(
            f"DELETE FROM rows WHERE n IN (SELECT n FROM rows JOIN (SELECT unnest($1) AS hour, unnest($2) AS id) AS old "  # noqa: S608
            f"ON old.id = rows.id AND old.hour = rows.at_ms // {HOUR_MS})",
            [[hour for hour, _ in pairs] or [-1], [request for _, request in pairs] or [""]],
        ).fetchall()
        self._duck.execute(
            "DELETE FROM rows WHERE n IN (SELECT n FROM "  # noqa: S608
            f"(SELECT n, row_number() OVER (PARTITION BY id, at_ms // {HOUR_MS} ORDER BY n) AS nth FROM rows) WHERE nth > 1)"
        ).fetchall()
        return before - self.count()

    def groups(self) -> list[Group]:
        """Sums and latency histogram of the batch per key of `traffic`, in the order of the key; one scan for both."""
        rows = self._all(f"""
            SELECT {self._key("at_ms")}, floor(16 * log2(greatest(latency_ms, 1)))::INTEGER AS bin,
                count(*), count(*) FILTER (error), count(refusal), count(*) FILTER (refusal), sum(latency_ms),
                coalesce(sum(tokens_in), 0)::BIGINT, coalesce(sum(tokens_out), 0)::BIGINT
            FROM rows GROUP BY ALL ORDER BY ALL""")  # noqa: S608
        found: dict[tuple[Any, ...], Group] = {}
        for row in rows:
            key, number, sums = row[: len(TRAFFIC_KEY)], row[len(TRAFFIC_KEY)], row[len(TRAFFIC_KEY) + 1 :]
            group = found.setdefault(key, Group(key, [0] * len(sums), {}))
            group.add(sums, {number: sums[0]})
        return list(found.values())

    def feedback(self) -> list[dict[str, Any]]:
        """Feedback rows as the table wants them, ordered by its key."""
        columns = (*TRAFFIC_KEY, "request_id", "kind", "at_ms", "id", "value", "request_at_ms")
        rows = self._all(f"""
            SELECT DISTINCT {self._key("request_at_ms")}, request, kind, at_ms, id, value, request_at_ms
            FROM rows ORDER BY request, kind, at_ms, id""")  # noqa: S608
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def sample(self, spool: Path, release_id: str, stage: int) -> dict[str, list[Any]]:
        """Columns of the newest observations of a stage, at most `SAMPLE_ROWS_MAX`, straight from the ends of the spool files."""
        self.load(Observation, tails(spool, OBSERVATIONS, bytes_max=SAMPLE_BYTES_MAX))
        rows = self._all(
            f"SELECT {', '.join(SAMPLE_COLUMNS)} FROM rows WHERE release = $1 AND stage = $2 "  # noqa: S608
            f"ORDER BY at_ms DESC LIMIT {SAMPLE_ROWS_MAX}",
            [release_id, stage],
        )
        return {name: [row[index] for row in rows] for index, name in enumerate(SAMPLE_COLUMNS)}

    def _key(self, time: str) -> str:
        width = f"(CASE WHEN release IS NULL THEN {max(self._width_ms, HISTORY_BUCKET_MS)} ELSE {self._width_ms} END)"
        return (
            f"coalesce(release, '{NO_RELEASE}') AS release_id, coalesce(stage, {NO_STAGE}) AS stage, arm, version, prompt, "
            f"{time} - {time} % {width} AS start_ms, {time} - {time} % {width} + {width} AS end_ms"
        )

    def _give(self, lines: list[str]) -> None:
        """Show the lines to DuckDB as they are: binding them as one text and splitting it there takes twice as long."""
        self._duck.register(
            "given", {"line": np.array(lines, dtype=object), "n": np.arange(1, len(lines) + 1)}
        )

    def _parse(self, model: type[BaseModel]) -> None:
        fields = f"unnest(from_json(line, '{layout(model)}'))"
        shape = "hash(json_keys(line), json_type(line, '$.*')) AS shape"
        parsed = f"SELECT n, {shape}, {fields} FROM given WHERE line <> ''"  # noqa: S608
        self._all(f"CREATE OR REPLACE TEMP TABLE rows AS {parsed}")

    def _broken(self) -> dict[int, str]:
        rows = self._all("SELECT n FROM given WHERE line <> '' AND NOT json_valid(line)")
        return dict.fromkeys((n for (n,) in rows), "not JSON")

    def _wrong_shapes(self, model: type[BaseModel], lines: list[str]) -> dict[int, str]:
        shapes = self._all("SELECT shape, min(n) FROM rows GROUP BY shape")
        if len(self._shapes) > SHAPES_MAX:
            self._shapes.clear()
        for shape, n in shapes:
            if (model, shape) not in self._shapes:
                keys, kinds = self._all("SELECT json_keys($1), json_type($1, '$.*')", [lines[n - 1]])[0]
                self._shapes[model, shape] = shape_problem(model, keys, kinds)
        wrong = {shape: problem for shape, _ in shapes if (problem := self._shapes[model, shape])}
        if not wrong:
            return {}
        rows = self._all("SELECT n, shape FROM rows WHERE shape IN (SELECT unnest($1))", [list(wrong)])
        return {n: wrong[shape] for n, shape in rows}

    def _out_of_range(self, model: type[BaseModel]) -> dict[int, str]:
        cases = " ".join(f"WHEN {condition} THEN '{reason}'" for condition, reason in RULES[model])
        judged = f"SELECT n, CASE {cases} END AS reason FROM rows"  # noqa: S608
        rows = self._all(f"SELECT n, reason FROM ({judged}) WHERE reason IS NOT NULL")  # noqa: S608
        return dict(rows)

    def _odd_words(self) -> dict[int, str]:
        """Names that could not be keys. There are few different ones, so each is judged once."""
        names = ("prompt", "version", "release")
        rows = self._all(f"SELECT DISTINCT {', '.join(names)} FROM rows")  # noqa: S608
        odd = {
            (name, word)
            for row in rows
            for name, word in zip(names, row, strict=True)
            if word is not None and not re.fullmatch(WORD, word)
        }
        bad: dict[int, str] = {}
        for name, word in odd:
            numbers = self._all(f"SELECT n FROM rows WHERE {name} = $1", [word])  # noqa: S608
            bad |= dict.fromkeys((n for (n,) in numbers), f"{name} is not 1 to 128 printable characters")
        return bad

    def _all(self, sql: str, parameters: list[object] | None = None) -> list[tuple[Any, ...]]:
        return self._duck.execute(sql, parameters).fetchall()


def _lines(data: bytes) -> tuple[list[str], dict[int, str]]:
    try:
        return data.decode().split("\n"), {}
    except UnicodeDecodeError:
        lines, bad = [], {}
        for number, line in enumerate(data.split(b"\n"), 1):
            try:
                lines.append(line.decode())
            except UnicodeDecodeError:
                bad[number] = "not UTF-8"
                lines.append("")
        return lines, bad

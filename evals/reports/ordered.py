"""The rows of a report in the order of its suite, from a temporary file: a run writes them as they are finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any, Self

import orjson

from promptship.evals.reports.aggregate import aggregate_for
from promptship.evals.reports.model import Report
from promptship.evals.reports.summary import Summary
from promptship.evals.rows import Arm, ArmFacts, CaseFacts, Row, from_json, to_json


class Ordered:
    """A report: its summary, and its rows in order as often as wanted. Close it: it may hold a file.

    The rows are read once for the summary, and once more when a format asks for them: most reports are a page of numbers.
    """

    summary: Summary

    def __init__(self, report: Report) -> None:
        self.report = report
        self.cases = {case.id: case for case in report.cases}
        self.arms = {arm.key: arm for arm in report.arms}
        self._file: IO[bytes] | None = None
        self._offsets: list[int] = []
        """In the file, of each row as they came."""
        self._index: list[tuple[int, int, int, int]] = []
        """Places of case, trial and arm, and which row it was."""
        self._read()

    def _read(self) -> None:
        numbers = aggregate_for(self.report)
        cases = {case: place for place, case in enumerate(self.cases)}
        arms = {arm: place for place, arm in enumerate(self.arms)}
        for number, row in enumerate(self.report.rows()):
            numbers.add(row)
            if row.case not in cases:
                cases[row.case] = len(cases)
                self.cases[row.case] = CaseFacts(id=row.case)
            if row.arm not in arms:
                arms[row.arm] = len(arms)
                self.arms[row.arm] = ArmFacts(key=row.arm, prompt=row.arm, model="")
            self._index.append((cases[row.case], row.trial, arms[row.arm], number))
        self._index.sort()
        self.summary = numbers.summary()

    def _kept(self) -> IO[bytes]:
        """All rows in a file, as they came."""
        if self._file is None:
            file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed by close()
            try:
                end = 0
                for row in self.report.rows():
                    self._offsets.append(end)
                    # Not orjson: it knows no NaN, no lone surrogates and no large integers, and rows must come back as they were.
                    end += file.write(json.dumps(to_json(row), default=str).encode() + b"\n")
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def rows(self) -> Iterator[Row]:
        """By case, then trial, then arm."""
        return self._rows(self._index)

    def rows_of(self, arm: Arm) -> Iterator[Row]:
        """Of one arm, by case and trial."""
        place = list(self.arms).index(arm)
        return self._rows([entry for entry in self._index if entry[2] == place])

    def cases_with_rows(self) -> Iterator[tuple[CaseFacts, list[Row]]]:
        """Every case of the suite with its rows by trial and arm; also a case without any."""
        start = 0
        for place, case in enumerate(self.cases.values()):
            end = start
            while end < len(self._index) and self._index[end][0] == place:
                end += 1
            yield case, list(self._rows(self._index[start:end]))
            start = end

    def _rows(self, entries: list[tuple[int, int, int, int]]) -> Iterator[Row]:
        if not entries:
            return
        file = self._kept()
        for _, _, _, number in entries:
            file.seek(self._offsets[number])
            yield from_json(json.loads(file.readline()))

    def close(self) -> None:
        """Give the temporary file back."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def json_text(data: Any) -> str:
    """One line of valid JSON: NaN and infinity, which JSON does not have, become null."""
    try:
        return orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    except (TypeError, ValueError):  # a lone surrogate, an integer beyond 64 bits
        return json.dumps(_finite(data), default=str, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

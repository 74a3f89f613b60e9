"""A suite gate that says what it is told to: Great Expectations takes seconds to import."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptship.adapters.suite_gate import SuiteExamination

CHECK = {
    "expectation_config": {"type": "expect_x", "kwargs": {"column": "id"}, "meta": {"warning": True}},
    "success": False,
}


class Gate:
    """`promptship.tasks.gate.Examine`; keeps what it was shown."""

    def __init__(self, *problems: str, warnings: tuple[str, ...] = ()) -> None:
        self.said = SuiteExamination(problems, warnings, {"results": [CHECK]}, "<html>page</html>")
        self.shown: list[tuple[str, Mapping[str, Sequence[Any]], Mapping[str, int]]] = []

    def __call__(
        self, name: str, columns: Mapping[str, Sequence[Any]], slices: Mapping[str, int]
    ) -> SuiteExamination:
        self.shown.append((name, columns, slices))
        return self.said

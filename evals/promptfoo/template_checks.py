"""Templates that name files which are not there: every row that needs one would have no score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from promptship.evals.promptfoo.columns import Column
from promptship.evals.promptfoo.included import templates_of
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.places import assertions_of


def missing_templates(
    cases: Sequence[TestCase], columns: Sequence[Column], config: Config
) -> Iterator[tuple[str, str, str]]:
    """Templates that are named and not there: file and key of who names them, and the name."""
    file = str(config.paths[0]) if config.paths else str(config.base)
    places = [
        (column.prompt.raw, file, f"prompts[{column.prompt.label[:40]}]")
        for column in columns
        if not column.prompt.is_function
    ]
    places += [
        (value, case.where, f"vars.{name}")
        for case in cases
        for name, value in case.vars.items()
        if isinstance(value, str)
    ]
    places += [
        (text, where, key)
        for raw, where, key in assertions_of(cases, config)
        if isinstance(raw, dict)
        for text in _texts(raw.get("value"))
    ]
    seen: set[str] = set()
    for text, where, key in places:
        if text not in seen and "{%" in text:
            seen.add(text)
            yield from (
                (where, key, name)
                for name, content in templates_of(text, Path.cwd()).items()
                if content is None
            )


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]

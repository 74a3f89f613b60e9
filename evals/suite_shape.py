"""What is wrong with the shape of a suite file, and what of it can be read all the same."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from promptship.errors import Problem
from promptship.evals.assertions import AssertionSpec
from promptship.evals.document import Document
from promptship.evals.suite_file import CaseFile, DefaultsFile, JudgeSettings, SuiteFile, TurnFile
from promptship.prompts.model import Message

_CASE: Final = re.compile(r"(?:cases)?\[\d+\]")


def shape_problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    """What pydantic found, with file, line and advice."""
    in_list = isinstance(document.data, list)
    for detail in error.errors():
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(
            "."
        )
        if detail["type"] == "extra_forbidden":
            advice = _nearest_key(detail["loc"])
            yield Problem(
                document.path,
                key,
                "an unknown key",
                "expected only known keys",
                advice,
                line_of(document, key, in_list),
            )
            continue
        got = "missing" if detail["type"] == "missing" else repr(detail["input"])[:60]
        yield Problem(document.path, key, got, _sentence(detail), "", line_of(document, key, in_list))


def _sentence(detail: ErrorDetails) -> str:
    """What pydantic says, as the end of our sentence."""
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] in {"model_type", "dict_type", "model_attributes_type"}:
        return "expected keys and values"
    return re.sub(r"^\w+ should (?:be )?", "expected ", detail["msg"])


def line_of(document: Document, key: str, in_list: bool) -> int:
    """A file that is a bare list of cases has no `cases` above them."""
    return document.line(key.removeprefix("cases") if in_list else key)


_PARTS: Final[Mapping[str, type[BaseModel]]] = {
    "assert": AssertionSpec,
    "messages": Message,
    "turns": TurnFile,
    "judge": JudgeSettings,
    "defaults": DefaultsFile,
    "cases": CaseFile,
}


def _nearest_key(location: tuple[int | str, ...]) -> str:
    """Advice for an unknown key: the nearest key of the part it stands in."""
    above = location[:-1]
    part = next((model for name, model in _PARTS.items() if name in above), SuiteFile)
    names = [str(field.alias or name) for name, field in part.model_fields.items()]
    wanted = {"tests": "cases"}.get(str(location[-1]), str(location[-1]))  # promptfoo's word
    near = difflib.get_close_matches(wanted, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"


def without_misshapen(document: Document, error: ValidationError) -> Any:
    """The file's data without every value that has the wrong shape; None: what it lacks, others are judged by."""
    data: Any = copy.deepcopy({"cases": document.data} if isinstance(document.data, list) else document.data)
    for detail in error.errors():
        *above, last = detail["loc"]
        if not above or above[0] != "cases":
            near = _nearest_key(detail["loc"])
            if above or detail["type"] != "extra_forbidden" or any(f" {name}?" in near for name in _PARTS):
                return None
        part: Any = data
        try:
            for step in above:
                part = part[step]
            if not isinstance(part, dict):
                return None
            part.pop(last, None)
        except (KeyError, IndexError, TypeError):
            return None
    return data


def independent(further: Sequence[Problem], known: Sequence[Problem]) -> list[Problem]:
    """Those that do not follow from known ones: of other cases, and ids that are there twice."""
    cases = {found[0] for one in known if (found := _CASE.match(one.key))}
    return [
        one
        for one in further
        if one.key.endswith("].id") or (found := _CASE.match(one.key)) is None or found[0] not in cases
    ]

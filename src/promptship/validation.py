"""pydantic's errors in our words: one `Problem` per mistake, with the dotted key, what was found and what to do."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from promptship.errors import Problem
from promptship.prompts.json_values import kind, shown
from promptship.prompts.lint.secrets import masked, secrets_in
from promptship.release.plan import METRIC_PATTERN

Key = tuple[str | int, ...]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_KEY: Final = re.compile(r"(?<!env)(?:key|secret|token|password|passwd)$", re.IGNORECASE)
_PATTERNS: Final = {
    METRIC_PATTERN: (
        "expected error_rate, refusal_rate, latency_p95, latency, cost_usd, tokens_out, feedback:<kind>, check:<name> or score:<name>"
    ),
    r"^[a-z][a-z0-9_]{0,39}$": "expected a lower-case word such as escalated",
}


def dotted(key: Key) -> str:
    """`plans.careful.canary.stages[1].share`; a key that is not bare is quoted as in TOML: `models."gpt-4.1"`."""
    parts: list[str] = []
    for part in key:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            name = part if _BARE_KEY.fullmatch(part) else f'"{part}"'
            parts.append(f".{name}" if parts else name)
    return "".join(parts)


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    *,
    file: str,
    line_of: Callable[[Key], int],
    prefix: Key = (),
) -> list[Problem]:
    """Every mistake pydantic found, in order of lines.

    Args:
        error: what validating `model` raised.
        model: the model that was validated; its fields are suggested for misspelled keys.
        file: the file's name in the problems.
        line_of: 1-based line of a key (without `prefix`), 0 when not known.
        prefix: where the validated table stands in the file.
    """
    problems = []
    for details in error.errors(include_url=False):
        if _echo(details):
            continue
        key = details["loc"]
        got, expected, advice = _say(details, model)
        problem = Problem(
            file=file,
            key=dotted((*prefix, *key)),
            got=got,
            expected=expected,
            advice=advice,
            line=line_of(key),
        )
        problems.append(problem)
    return sorted(problems, key=lambda problem: problem.line)


def _echo(details: ErrorDetails) -> bool:
    """Pydantic calls an array too short when its elements are wrong, because it counts only the right ones."""
    return details["type"] == "too_short" and len(details["input"]) >= details.get("ctx", {}).get(
        "min_length", 0
    )


def _say(details: ErrorDetails, model: type[BaseModel]) -> tuple[str, str, str]:
    key, value, context = details["loc"], details["input"], details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            known = sorted(_keys_at(model, key[:-1]))
            near = get_close_matches(str(key[-1]), known, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]}?" if near else f"keys here: {', '.join(known)}"
            return _seen(key, value), "no such key", advice
        case "missing":
            return "missing", "it is required", ""
        case "string_pattern_mismatch" if context.get("pattern") in _PATTERNS:
            return _seen(key, value), _PATTERNS[context["pattern"]], ""
        case "value_error":
            # Our own validators end their sentence with what they got; it is shown already.
            return _seen(key, value), str(context["error"]).partition(", got ")[0], ""
        case _:
            return _seen(key, value), _sentence(details["msg"]), ""


def _sentence(message: str) -> str:
    """What pydantic calls `Input should be ...` as the end of ours: `expected ...`."""
    return re.sub(r"^(Input|String|Tuple|Value|List|Dictionary) should (be|have|match) ", _expected, message)


def _expected(match: re.Match[str]) -> str:
    return "expected " if match.group(2) == "be" else f"expected to {match.group(2)} "


def _seen(key: Key, value: Any) -> str:
    """A value as an error may show it: short, whole tables only by kind, nothing that looks like a secret."""
    if isinstance(value, dict | list | tuple):
        return kind(list(value) if isinstance(value, tuple) else value).replace("an object", "a table")
    text = shown(value)
    if isinstance(value, str) and _SECRET_KEY.search(str(key[-1] if key else "")):
        return "a text that is not shown"
    return masked(text, secrets_in(text))


def _keys_at(model: type[BaseModel], key: Key) -> Iterator[str]:
    """Names of the fields of the model that a key leads to."""
    here: Any = model
    for part in key:
        here = _inside(here, part)
    here = _model_of(here)
    yield from (name for name in here.model_fields if name != "root") if here is not None else ()


def _inside(annotation: Any, part: str | int) -> Any:
    model = _model_of(annotation)
    if model is not None and isinstance(part, str):
        return model.model_fields[part].annotation if part in model.model_fields else None
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    return arguments[-1] if arguments else None


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in {Union, types.UnionType}:
        found = (_model_of(argument) for argument in get_args(annotation))
        return next((model for model in found if model is not None), None)
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None

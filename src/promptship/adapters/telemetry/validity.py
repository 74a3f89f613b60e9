"""What a spool line must be to count: keys and types from the record's model, bounds for what the rollup does with them."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from promptship.routing.observation import Feedback, Observation

AT_MS_MAX: Final = 4_102_444_800_000  # the year 2100; later is a unit mix-up
LATENCY_MS_MAX: Final = 1e9
COUNT_MAX: Final = 1_000_000_000
STAGE_MAX: Final = 10_000
WORD: Final = "[!-~]{1,128}"
"""Ids and names: printable, no spaces, so that they can be keys in every database."""
UNUSED: Final = frozenset({"unit", "model", "ttft_ms", "error_type", "streamed"})
"""Fields whose type is checked but that no rollup needs."""

_TYPES: Final = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}
_JSON_TYPES: Final = {
    str: {"VARCHAR"}, int: {"UBIGINT", "BIGINT"}, float: {"UBIGINT", "BIGINT", "DOUBLE"}, bool: {"BOOLEAN"},
}  # fmt: skip
_SHARED: Final = (
    (f"not regexp_full_match(id, '{WORD}')", "id is not 1 to 128 printable characters"),
    ("arm not in ('stable', 'candidate')", "arm is neither stable nor candidate"),
    (f"at_ms is null or at_ms not between 0 and {AT_MS_MAX}", "at_ms is not a time in milliseconds"),
    ("(release is null) <> (stage is null)", "release and stage belong together"),
    (f"stage not between 0 and {STAGE_MAX}", "stage is out of range"),
)
RULES: Final[dict[type[BaseModel], tuple[tuple[str, str], ...]]] = {
    Observation: (
        *_SHARED,
        (f"latency_ms is null or not (latency_ms between 0 and {LATENCY_MS_MAX})", "latency_ms is out of range"),
        ("status is null or status not between 0 and 999", "status is not an HTTP status"),
        (f"tokens_in not between 0 and {COUNT_MAX}", "tokens_in is out of range"),
        (f"tokens_out not between 0 and {COUNT_MAX}", "tokens_out is out of range"),
    ),
    Feedback: (
        *_SHARED,
        (f"not regexp_full_match(request, '{WORD}')", "request is not 1 to 128 printable characters"),
        ("not regexp_full_match(kind, '[a-z][a-z0-9_]{0,39}')", "kind is not a lower-case word"),
        (f"request_at_ms is null or request_at_ms not between 0 and {AT_MS_MAX}", "request_at_ms is not a time in milliseconds"),
    ),
}  # fmt: skip
"""SQL condition -> what is wrong when it is true. A NULL condition is not true: what may be unknown needs no rule for it."""


def layout(model: type[BaseModel]) -> str:
    """The record as DuckDB's from_json wants it described."""
    fields = (
        f'"{n}": "{_sql_type(field.annotation)}"'
        for n, field in model.model_fields.items()
        if n not in UNUSED
    )
    return "{" + ", ".join(fields) + "}"


def shape_problem(model: type[BaseModel], keys: Sequence[str], kinds: Sequence[str]) -> str | None:
    """What is wrong with a record of these keys and JSON types (DuckDB's names), or None.

    Keys themselves are not repeated: an unknown one may hold anything.
    """
    if len(set(keys)) < len(keys):
        return "a key stands twice"
    given = dict(zip(keys, kinds, strict=True))
    if not given.keys() <= model.model_fields.keys():
        return "unknown key" if given.keys() & model.model_fields.keys() else "not a record"
    for name, field in model.model_fields.items():
        if name not in given:
            if field.is_required():
                return f"{name} is missing"
            continue
        kind, optional = _kind(field.annotation)
        if given[name] not in _JSON_TYPES[kind] and not (optional and given[name] == "NULL"):
            return f"{name} is {given[name]}; expected {kind.__name__}"
    return None


def _kind(annotation: Any) -> tuple[type, bool]:
    """Python type of a field and whether it may be null; a Literal is a str."""
    if get_origin(annotation) in {Union, types.UnionType}:
        (kind,) = (_kind(member)[0] for member in get_args(annotation) if member is not type(None))
        return kind, True
    return (str, False) if get_origin(annotation) is Literal else (annotation, False)


def _sql_type(annotation: Any) -> str:
    kind, optional = _kind(annotation)
    # What does not fit its type is read as NULL; where NULL is allowed it must fit, to be found out of range.
    return "HUGEINT" if kind is int and optional else _TYPES[kind]

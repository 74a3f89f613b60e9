"""Durations of plans and settings: seconds, or text such as `10m`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

DURATION_S_MAX = 10 * 365 * 86400.0
"""Ten years: more is a slip, and cannot be added to a date."""
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Seconds from `90`, `"90s"`, `"10m"`, `"1h30m"`, `"2d"`, `"500ms"`; anything else is returned for pydantic to refuse."""
    if isinstance(value, str):
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value.strip())
        if not parts or "".join(n + u for n, u in parts) != re.sub(r"\s+", "", value):
            message = f"expected a duration such as 90s, 10m or 1h30m, got {value!r}"
            raise ValueError(message)
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if isinstance(value, bool):
        message = f"expected a duration such as 90s, 10m or 1h30m, got {str(value).lower()}"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns only this one into a finding
    return value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0, le=DURATION_S_MAX),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"},
            ]
        }
    ),
]
"""Seconds as a float; written as a number or as `10m`."""

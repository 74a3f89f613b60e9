"""Values as JavaScript writes them: `1` for 1.0, `[object Object]`, arrays with commas, and the JSON of JSON.stringify."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

INTEGER_MAX: Final = 2**53
"""From here on a JavaScript number, which is a double, cannot tell neighbours apart."""
_INTEGER_64: Final = 2**63
"""What JSON writers take for an integer ends here."""
_INDEX_MAX: Final = 2**32 - 1
_EXPONENT_FROM: Final = 1e21
_EXPONENT_BELOW: Final = 1e-6


def number_text(number: float) -> str:
    """A number as JavaScript prints it."""
    if isinstance(number, int):
        if -INTEGER_MAX < number < INTEGER_MAX:
            return str(number)
        try:
            number = float(number)
        except OverflowError:
            number = math.inf if number > 0 else -math.inf
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    if _EXPONENT_BELOW <= abs(number) < _EXPONENT_FROM:
        return _plain(number)
    mantissa, _, exponent = repr(number).partition("e")
    sign, digits = exponent[:1], exponent[1:].lstrip("0")
    return f"{mantissa.removesuffix('.0')}e{sign}{digits}"


def _plain(number: float) -> str:
    text = repr(number)
    if "e" not in text:
        return text.removesuffix(".0")
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    point = len(mantissa.lstrip("-").partition(".")[0]) + int(exponent)
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    whole = digits[:point].ljust(point, "0")
    rest = digits[point:].rstrip("0")
    return f"{sign}{whole}.{rest}" if rest else sign + whole


def text(value: Any) -> str:
    """A value as JavaScript's String() gives it; None is null."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list | tuple):
        return ",".join("" if item is None else text(item) for item in value)
    if isinstance(value, Mapping):
        return "[object Object]"
    return str(value)


def is_index(key: str) -> bool:
    """Whether JavaScript takes a key for an array index, which comes before all other keys."""
    return (
        key.isascii() and key.isdigit() and (key == "0" or not key.startswith("0")) and int(key) < _INDEX_MAX
    )


def keys(mapping: Mapping[Any, Any]) -> list[Any]:
    """The keys of an object in JavaScript's order: indices by size, then the others as they were added."""
    names = list(mapping)
    if not any(isinstance(name, int) or name[:1].isdigit() for name in names if isinstance(name, str | int)):
        return names
    indices = sorted((name for name in names if is_index(text(name))), key=lambda name: int(text(name)))
    return [*indices, *(name for name in names if not is_index(text(name)))]


def json_text(value: Any, indent: int | str = 0) -> str:
    """JSON as JSON.stringify(value, null, indent) writes it. What is no JSON value, such as NaN, becomes null."""
    gap = " " * max(0, min(10, indent)) if isinstance(indent, int) else indent[:10]
    return _json(value, gap, "")


def _json(value: Any, gap: str, margin: str) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return number_text(value) if isinstance(value, int) or math.isfinite(value) else "null"
    if isinstance(value, Mapping):
        inner = margin + gap
        colon = ": " if gap else ":"
        pairs = (
            f"{encode_basestring(text(key))}{colon}{_json(value[key], gap, inner)}"
            for key in keys(value)
            if _has_json(value[key])
        )
        return _bracketed("{", pairs, "}", gap, margin)
    if isinstance(value, list | tuple):
        return _bracketed("[", (_json(item, gap, margin + gap) for item in value), "]", gap, margin)
    return "null"


def _has_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | Mapping | list | tuple)


def _bracketed(opening: str, items: Iterable[str], closing: str, gap: str, margin: str) -> str:
    if not gap:
        return f"{opening}{','.join(items)}{closing}"
    inner = f",\n{margin}{gap}".join(items)
    return f"{opening}\n{margin}{gap}{inner}\n{margin}{closing}" if inner else opening + closing


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def integer(number: float) -> float:
    """A whole number as JavaScript keeps it: beyond `INTEGER_MAX` rounded, beyond 64 bits no integer at all. Raises OverflowError."""
    if abs(number) < INTEGER_MAX:
        return int(number)
    rounded = float(number)
    return int(rounded) if -_INTEGER_64 <= rounded < 2 * _INTEGER_64 else rounded


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < 16 else integer(float(digits))  # noqa: PLR2004 - certainly below INTEGER_MAX


_DECODER: Final = json.JSONDecoder(parse_constant=_constant, parse_int=_integer)


def parse_json(content: str) -> Any:
    """What JSON.parse gives. Raises ValueError; RecursionError for what is nested too deeply."""
    return _DECODER.decode(content)

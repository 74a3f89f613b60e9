"""Reading `value` and `threshold` of a specification, and JSON in an answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import orjson

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid, shown, text_value

WHITE: Final = " \t\n\r"
"""What JSON calls white space."""


def is_number(value: object) -> bool:
    """Whether a value is a finite number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def js_text(value: Any) -> str:
    """A value as JavaScript's `String(value)` writes it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _js_number(value)
    if isinstance(value, list | tuple):
        return ",".join("" if item is None else js_text(item) for item in value)
    return "[object Object]" if isinstance(value, dict) else str(value)


def _js_number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value.is_integer() and abs(value) < 1e21:  # noqa: PLR2004 - from here on JavaScript writes exponents
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    power = int(exponent)
    if -6 <= power < 0:  # noqa: PLR2004 - JavaScript writes 0.000001, but 1e-7
        return f"{value:.{len(mantissa.replace('.', '').lstrip('-')) - power - 1}f}"
    return f"{mantissa.removesuffix('.0')}e{power:+d}"


def fields(text: str) -> Iterator[tuple[str, bool]]:
    r"""Parts of a line between commas, and whether one was in quotes: there commas count, and `""`, `\"`, `\\` are escapes.

    Raises:
        ValueError: a quote is not closed, or something follows it.
    """
    at, end = 0, len(text)
    while at < end:
        while at < end and text[at].isspace():
            at += 1
        if at < end and text[at] == '"':
            field, at = _quoted(text, at + 1)
            while at < end and text[at].isspace():
                at += 1
            if at < end and text[at] != ",":
                message = "something follows a closing quote"
                raise ValueError(message)
            yield field, True
        else:
            comma = text.find(",", at)
            stop = end if comma < 0 else comma
            yield text[at:stop].rstrip(), False
            at = stop
        at += 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    field: list[str] = []
    while at < len(text):
        pair = text[at : at + 2]
        if pair in {'\\"', "\\\\", '""'}:
            field.append(pair[1])
            at += 2
        elif text[at] == '"':
            return "".join(field), at + 1
        else:
            field.append(text[at])
            at += 1
    message = "a quote is not closed"
    raise ValueError(message)


def list_value(spec: AssertionSpec, context: BuildContext | None = None) -> tuple[str, ...]:
    """`value` as several texts: a list, or one line with commas. promptfoo skips empty parts, here they are errors."""
    lenient = context is not None and context.dialect is Dialect.PROMPTFOO
    if isinstance(spec.value, list | tuple):
        if lenient:
            return tuple(js_text(item) for item in spec.value)
        items = [text_value(spec.model_copy(update={"value": item})) for item in spec.value]
    elif lenient and (not isinstance(spec.value, str) or not spec.value):
        raise invalid("value", shown(spec.value), "expected a list, or text with commas")
    else:
        try:
            parts = list(fields(text_value(spec)))
        except ValueError as error:
            raise invalid(
                "value", shown(spec.value), f"expected texts with commas between: {error}"
            ) from None
        items = [field for field, quoted in parts if field or quoted or not lenient]
    if not lenient and (not items or "" in items):
        raise invalid("value", shown(spec.value), "expected a list of texts, none of them empty")
    return tuple(items)


def object_value(spec: AssertionSpec, context: BuildContext, known: frozenset[str]) -> dict[str, Any]:
    """`value` as an object; unknown keys are errors, but not in promptfoo's dialect."""
    if not isinstance(spec.value, dict):
        raise invalid("value", shown(spec.value), f"expected an object with {', '.join(sorted(known))}")
    unknown = sorted(str(key) for key in spec.value if key not in known)
    if unknown and context.dialect is Dialect.NATIVE:
        raise invalid(f"value.{unknown[0]}", "an unknown key", f"expected one of {', '.join(sorted(known))}")
    return dict(spec.value)


# JSON -----------------------------------------------------------------------------------------------------------------


def _no_constant(name: str) -> object:
    message = f"{name} is not JSON"
    raise ValueError(message)


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def json_of(text: str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        return orjson.loads(text)
    except (
        ValueError
    ):  # also what only orjson refuses: half a surrogate pair in an escape, more than 1,024 levels
        try:
            return _DECODER.decode(text.strip(WHITE))
        except RecursionError:
            message = "too many levels"
            raise ValueError(message) from None


def embedded_at(text: str) -> Iterator[tuple[int, int, Any]]:
    """Every outermost JSON object or array inside a text, with where it begins and ends.

    Gives up on a text whose brackets lead nowhere again and again: that could take a time that grows with its square.
    """
    at, left = 0, 20 * len(text) + 500_000
    while left > 0 and (begins := _BEGINS.search(text, at)):
        start = begins.start()
        try:
            value, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            left -= error.pos - start + error.pos // 50 + 200  # it has counted all lines before it
            at = start + 1
        except (ValueError, RecursionError):
            left -= 20_000 + start // 50
            at = start + 1
        else:
            yield start, end, value
            at = end


_BEGINS: Final = re.compile(r"\{\s*[\"}]|\[\s*[\[{\"\]tfn\d-]")


def embedded(text: str) -> Iterator[Any]:
    """Every outermost JSON object or array inside a text."""
    return (value for _, _, value in embedded_at(text))


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; 1 equals 1.0, but not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


@lru_cache(maxsize=1024)
def _checked(text: str) -> str:
    """What is wrong with a JSON Schema; empty: nothing."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    schema = orjson.loads(text)
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return f"at {error.json_path}: {error.message}"
    return ""


def schema_problem(schema: Any) -> str:
    """What is wrong with a JSON Schema; empty: nothing. Equal schemas are looked at once."""
    try:
        return _checked(orjson.dumps(schema).decode())
    except TypeError as error:
        return str(error)

"""Built-in filters on texts and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.nunjucks.markup import with_links, without_tags
from promptship.evals.promptfoo.nunjucks.members import substituted
from promptship.evals.promptfoo.nunjucks.running import CHARS_MAX, limited, named_parameters, width
from promptship.evals.promptfoo.nunjucks.scanning import words
from promptship.evals.promptfoo.nunjucks.values import (
    SPACE,
    UNDEFINED,
    Pattern,
    Safe,
    TemplateError,
    number,
    shown,
    text,
    tidy,
    truthy,
)

_ENTITIES: Final = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;", "'": "&#39;", '"': "&quot;", "`": "&#96;", "\\": "&#92;"}
)
_URI_SAFE: Final = "-_.!~*'()"


def subject(value: Any, name: str) -> str:
    """The text a filter works on; null, undefined and false are empty. Raises TemplateError for anything else."""
    if isinstance(value, str):
        return value
    if value is None or value is UNDEFINED or value is False:
        return ""
    raise TemplateError(f"filter {name} needs a text, got {text(value)[:40]}")


def _given(value: Any, default: Any) -> Any:
    """An optional argument."""
    return value if truthy(value) else default


def _capitalized(value: str) -> str:
    lower = value.lower()
    return lower[:1].upper() + lower[1:]


def _title(value: Any) -> str:
    return " ".join(map(_capitalized, subject(value, "title").split(" ")))


def _center(value: Any, size: Any = UNDEFINED) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text(value)  # a number has no length in JavaScript, so nothing is put beside it
    content = subject(value, "center")
    missing = width(number(_given(size, 80))) - len(content)
    before = max(0, missing) // 2
    return " " * before + content + " " * (missing - before)


def _indent(value: Any, size: Any = UNDEFINED, first: Any = UNDEFINED) -> str:
    lines = subject(value, "indent").split("\n")
    if lines == [""]:
        return ""
    margin = " " * width(number(_given(size, 4)))
    if len(margin) * len(lines) > 1_000_000:  # noqa: PLR2004 - before it is built
        raise TemplateError("indents too much")
    return "\n".join(
        line if at == 0 and not truthy(first) else margin + line for at, line in enumerate(lines)
    )


def _replace(value: Any, old: Any, new: Any = UNDEFINED, count: Any = UNDEFINED) -> Any:
    if isinstance(old, Pattern):
        return substituted(subject(value, "replace"), old, new)
    if isinstance(old, bool) or not isinstance(old, str | int | float):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    content = text(value)
    times = -1 if count is UNDEFINED else int(number(count))
    if old == "":
        return limited(text(new) + "".join(char + text(new) for char in content))
    if times == 0:
        return value
    occurrences = content.count(text(old))
    if occurrences * len(text(new)) > CHARS_MAX:
        raise TemplateError("replaces too much")
    return content.replace(text(old), text(new), times)


def _striptags(value: Any, keep_lines: Any = UNDEFINED) -> str:
    bare = without_tags(subject(value, "striptags")).strip(SPACE)
    if not truthy(keep_lines):
        return " ".join(words(bare))
    kept: list[str] = []
    for line in map(_single_spaced, bare.replace("\r\n", "\n").split("\n")):
        if line or not kept or kept[-1]:  # of several empty lines one is left
            kept.append(line)
    return "\n".join(kept)


def _single_spaced(line: str) -> str:
    return " ".join(filter(None, line.split(" ")))


def _trim(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"filter trim needs a text, got {text(value)[:40]}")
    return value.strip(SPACE)


def _truncate(value: Any, size: Any = UNDEFINED, killwords: Any = UNDEFINED, end: Any = UNDEFINED) -> str:
    content, longest = subject(value, "truncate"), int(number(_given(size, 255)))
    if len(content) <= longest:
        return content
    whole, space, _ = content[: longest + 1].rpartition(" ") if longest >= 0 else ("", "", "")
    beginning = whole if space and not truthy(killwords) else content[: max(0, longest)]
    return beginning + ("..." if end is UNDEFINED or end is None else text(end))


def _urlencode(value: Any) -> str:
    def encoded(part: Any) -> str:
        return quote(text(part), safe=_URI_SAFE)

    if isinstance(value, str):
        return encoded(value)
    if isinstance(value, Mapping):
        pairs: list[Any] = [(key, value[key]) for key in javascript_text.keys(value)]
    elif isinstance(value, list | tuple) and all(isinstance(pair, list | tuple | str) for pair in value):
        pairs = [(*pair, UNDEFINED, UNDEFINED)[:2] for pair in value]
    elif isinstance(value, list | tuple):
        raise TemplateError("filter urlencode needs a text, an object or pairs")
    else:
        return ""
    return "&".join(f"{encoded(key)}={encoded(one)}" for key, one in pairs)


def _urlize(value: Any, size: Any = UNDEFINED, nofollow: Any = UNDEFINED) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"filter urlize needs a text, got {text(value)[:40]}")
    longest = number(size) if size is not UNDEFINED else math.nan
    return str(limited(with_links(value, int(longest) if math.isfinite(longest) else None, nofollow is True)))


def _string(value: Any) -> str:
    if value is None or value is UNDEFINED:
        raise TemplateError(f"filter string cannot take {text(value)}")
    return value if isinstance(value, Safe) else text(value)


def _wordcount(value: Any) -> Any:
    return len(re.findall(r"\w+", subject(value, "wordcount"), re.ASCII)) or None


def _float(value: Any, default: Any = UNDEFINED) -> Any:
    found = re.match(
        r"[+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", text(value).lstrip(SPACE), re.ASCII
    )
    return tidy(float(found[0])) if found else default


@named_parameters("value", "default", "base")
def _int(value: Any, default: Any, base: Any) -> Any:
    radix = 10 if base is UNDEFINED else number(base)
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"[: int(radix)] if 2 <= radix <= 36 else ""  # noqa: PLR2004
    content = text(value).lstrip(SPACE).lower()
    sign = -1 if content.startswith("-") else 1
    content = content[1:] if content[:1] in {"-", "+"} else content
    if radix == 16 and content.startswith("0x"):  # noqa: PLR2004 - hexadecimal
        content = content[2:]
    whole = content[: len(content) - len(content.lstrip(digits))] if digits else ""
    return tidy(sign * int(whole, int(radix))) if whole else default


def _round(value: Any, precision: Any = UNDEFINED, method: Any = UNDEFINED) -> Any:
    places = number(_given(precision, 0))
    factor = 10.0 ** max(-300, min(300, places))
    scaled = number(value) * factor
    if not math.isfinite(scaled):
        return scaled if math.isnan(scaled) else number(value)
    rounding = {"ceil": math.ceil, "floor": math.floor}.get(method if isinstance(method, str) else "")
    whole = rounding(scaled) if rounding else math.floor(scaled + 0.5)
    return tidy(whole / factor)


def escape(value: Any) -> Safe:
    """HTML's special characters as entities, unless it is safe already."""
    return value if isinstance(value, Safe) else Safe(shown(value).translate(_ENTITIES))


TEXT_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": lambda value: abs(number(value)),
    "capitalize": lambda value: _capitalized(subject(value, "capitalize")),
    "center": _center,
    "e": escape,
    "escape": escape,
    "float": _float,
    "forceescape": lambda value: Safe(shown(value).translate(_ENTITIES)),
    "indent": _indent,
    "int": _int,
    "lower": lambda value: subject(value, "lower").lower(),
    "nl2br": lambda value: subject(value, "nl2br").replace("\r\n", "\n").replace("\n", "<br />\n"),
    "replace": _replace,
    "round": _round,
    "safe": lambda value: value if isinstance(value, Safe) else Safe(shown(value)),
    "string": _string,
    "striptags": _striptags,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": lambda value: subject(value, "upper").upper(),
    "urlencode": _urlencode,
    "urlize": _urlize,
    "wordcount": _wordcount,
}

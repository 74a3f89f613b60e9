"""`--filter` and `--var` of `promptship eval -c`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.earlier import Earlier, Missed
from promptship.evals.promptfoo.filters import Filters

_FILTERS = {
    "first-n": "first_n", "sample": "sample", "seed": "sample_seed", "range": "range", "pattern": "pattern",
    "metadata": "metadata", "providers": "providers", "prompts": "prompts",
}  # fmt: skip
_EARLIER = tuple(Missed)
_WHOLE = frozenset({"first_n", "sample"})


def filters_of(only: tuple[str, ...]) -> Filters:
    """What `--filter` asks for. Raises ConfigError."""
    found: dict[str, Any] = {}
    for text in only:
        name, _, value = text.partition("=")
        if name in _EARLIER and value:
            found["earlier"] = Earlier.read(Path(value), Missed(name))
            continue
        key = _FILTERS.get(name)
        if key is None or not value or (key in _WHOLE and not value.isdecimal()):
            expected = f"expected name=value with one of {', '.join((*_FILTERS, *_EARLIER))}"
            raise ConfigError([Problem("promptship eval", "--filter", repr(text), expected)])
        if key == "metadata":
            found[key] = (*found.get(key, ()), value)
        else:
            found[key] = int(value) if key in _WHOLE else value
    return Filters(**found)


def variables_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """What `--var` sets: texts, as in promptfoo. Raises ConfigError."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ConfigError([Problem("promptship eval", "--var", repr(pair), "expected name=value")])
        found[name] = value
    return found

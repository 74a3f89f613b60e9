"""`--filter` and `--var` of `promptship eval -c`."""

from __future__ import annotations

from typing import Any

import yaml

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.filters import Filters

_FILTERS = {
    "first-n": "first_n", "sample": "sample", "seed": "sample_seed", "range": "range", "pattern": "pattern",
    "metadata": "metadata", "providers": "providers", "prompts": "prompts",
}  # fmt: skip
_WHOLE = frozenset({"first_n", "sample"})


def filters_of(only: tuple[str, ...]) -> Filters:
    """What `--filter` asks for. Raises ConfigError."""
    found: dict[str, Any] = {}
    for text in only:
        name, _, value = text.partition("=")
        key = _FILTERS.get(name)
        if key is None or not value or (key in _WHOLE and not value.isdecimal()):
            expected = f"expected name=value with one of {', '.join(_FILTERS)}"
            raise ConfigError([Problem("promptship eval", "--filter", repr(text), expected)])
        if key == "metadata":
            found[key] = (*found.get(key, ()), value)
        else:
            found[key] = int(value) if key in _WHOLE else value
    return Filters(**found)


def variables_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """What `--var` sets; values are read as YAML. Raises ConfigError."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ConfigError([Problem("promptship eval", "--var", repr(pair), "expected name=value")])
        found[name] = yaml.safe_load(value) if value else ""
    return found

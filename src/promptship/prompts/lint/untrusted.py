"""Which variables carry text that somebody outside wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from promptship.prompts.model import Prompt, Variable, VariableType

_SOMEBODY = r"(?:user|customer|client|visitor)"
UNTRUSTED_NAME: Final = re.compile(
    rf"(?:{_SOMEBODY}_)?(?:question|message|comment|query|queries|review|complaint)s?"
    rf"|{_SOMEBODY}_(?:input|text|prompt|request)s?",
    re.IGNORECASE,
)
"""Names that are taken for end users' words unless the variable says `untrusted: false`."""

_FREE_TEXT: Final = frozenset({VariableType.STRING, VariableType.ARRAY, VariableType.OBJECT})
"""Types that can carry an instruction: a number or a boolean cannot."""


def untrusted_variables(prompt: Prompt, used: Iterable[str]) -> frozenset[str]:
    """Those of the used variables that are untrusted: they say so, or they have a telling name and do not deny it."""
    return frozenset(name for name in used if _untrusted(name, prompt.variables.get(name)))


def _untrusted(name: str, variable: Variable | None) -> bool:
    telling = bool(UNTRUSTED_NAME.fullmatch(name))
    if variable is None:
        return telling
    if variable.type not in _FREE_TEXT or variable.enum is not None:
        return False
    return variable.untrusted if "untrusted" in variable.model_fields_set else telling

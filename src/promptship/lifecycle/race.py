"""What to do about a lost compare-and-set: read again, decide again. Nothing was written, so this is always safe."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from promptship.errors import Conflict

_P = ParamSpec("_P")
_T = TypeVar("_T")

ATTEMPTS_MAX = 8
"""A release is written by a flow, a watcher and people: more losses in a row than this mean something is wrong."""


def rereading(use_case: Callable[_P, _T]) -> Callable[_P, _T]:
    """Call again from the start after a `Conflict`; the last one is raised. The use case must read before it writes."""

    @wraps(use_case)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return use_case(*args, **kwargs)
            except Conflict:
                continue
        return use_case(*args, **kwargs)

    return wrapper

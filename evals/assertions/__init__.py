"""Assertions: what a suite may demand of an answer. `REGISTRY` has one entry per type; `build` makes one from its specification."""

from __future__ import annotations

from promptship.evals.assertions.base import (
    Assertion,
    AssertionSpec,
    BuildContext,
    Dialect,
    Maker,
    Prepared,
    Reader,
)
from promptship.evals.assertions.registry import ASKS_MODELS, NEEDS_JUDGE, REGISTRY, TYPES, build

__all__ = [
    "ASKS_MODELS",
    "NEEDS_JUDGE",
    "REGISTRY",
    "TYPES",
    "Assertion",
    "AssertionSpec",
    "BuildContext",
    "Dialect",
    "Maker",
    "Prepared",
    "Reader",
    "build",
]

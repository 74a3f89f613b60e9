"""Judges: models that grade for native suites, comparisons of answers across arms, and agreement with human labels."""

from promptship.evals.judges.native import NativeGraders

__all__ = ["NativeGraders"]

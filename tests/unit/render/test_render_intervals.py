"""Differences and their intervals in words: no sign before nothing, and an end that nothing bounds is said to be open."""

from __future__ import annotations

import pytest

from promptship.canary.experiment import MetricEffect
from promptship.canary.interval import Effect, Interval
from promptship.render.experiment import effect_row


@pytest.mark.parametrize(
    ("absolute", "shown"),
    [
        (Interval(0.012, -0.005, 0.03), "+1.2 (-0.5 to +3) points"),
        (Interval(-0.00001, -0.02, 0.03), "0 (-2 to +3) points"),
        (Interval(0.0, None, None), "0 points (too few to bound)"),
        (Interval(0.3, -0.1, None), "+30 (-10 or more) points"),
        (Interval(-0.3, None, 0.1), "-30 (+10 or less) points"),
    ],
)
def test_a_difference_in_words(absolute: Interval, shown: str) -> None:
    effect = Effect(requests=(10, 10), values=(0.1, 0.1), absolute=absolute, relative=absolute)
    assert (
        effect_row(MetricEffect(arm="short", metric="error_rate", effect=effect, higher_is_better=False))[4]
        == shown
    )

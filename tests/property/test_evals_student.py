"""Student's t by hand is scipy's."""

from __future__ import annotations

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from promptship.evals.student import lower, quantile

freedoms = st.floats(0.5, 1e6)
shares = st.floats(1e-7, 1 - 1e-7)


@given(freedoms, st.floats(-1e4, 1e4))
def test_the_share_below_t_is_scipys(freedom: float, t: float) -> None:
    assert lower(freedom, t) == pytest.approx(float(special.stdtr(freedom, t)), rel=1e-9, abs=1e-250)
    assert lower(freedom, t) + lower(freedom, -t) == pytest.approx(1.0, abs=1e-12)


@given(st.floats(1.0, 1e6), shares)
def test_the_quantile_is_scipys_and_undoes_the_share(freedom: float, share: float) -> None:
    t = quantile(share, freedom)
    assert t == pytest.approx(float(special.stdtrit(freedom, share)), rel=1e-8, abs=1e-12)
    assert lower(freedom, t) == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize(
    ("freedom", "share", "t"),
    [(1, 0.75, 1.0), (2, 0.95, 2.919985580), (10, 0.975, 2.228138852), (30, 0.05, -1.697260887)],
)
def test_printed_tables_say_the_same(freedom: float, share: float, t: float) -> None:
    assert quantile(share, freedom) == pytest.approx(t, rel=1e-9)


def test_the_edges_are_kept() -> None:
    assert [lower(3.0, t) for t in (-inf, 0.0, inf)] == [0.0, 0.5, 1.0]
    assert isnan(lower(3.0, nan))
    assert quantile(0.5, 3.0) == 0.0

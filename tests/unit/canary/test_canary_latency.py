import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.canary import latency
from promptship.canary.evidence import Counts, Histogram

HISTOGRAM = Histogram(buckets={10: 50, 20: 40, 30: 5, 40: 5})


@given(st.floats(1, 1e6))
def test_a_latency_lies_inside_its_bucket(latency_ms: float) -> None:
    number = latency.bucket(latency_ms)
    assert latency.edge_ms(number) * (1 - 1e-12) <= latency_ms <= latency.edge_ms(number + 1) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("latency_ms", "number"), [(0.0, 0), (0.5, 0), (1.0, 0), (2.0, 16), (1024.0, 160), (2000.0, 175)]
)
def test_buckets_are_sixteenths_of_an_octave(latency_ms: float, number: int) -> None:
    assert latency.bucket(latency_ms) == number


@pytest.mark.parametrize(
    ("quantile", "edge"), [(0.5, 11), (0.51, 21), (0.9, 21), (0.95, 31), (0.951, 41), (0.99, 41), (1.0, 41)]
)
def test_the_threshold_is_the_upper_edge_of_the_quantiles_bucket(quantile: float, edge: int) -> None:
    assert latency.quantile_edge(HISTOGRAM, quantile) == edge


@given(st.dictionaries(st.integers(0, 300), st.integers(0, 50), min_size=1), st.floats(0.01, 1.0))
def test_at_most_the_rest_exceeds_a_quantile_and_one_edge_lower_more_does(
    buckets: dict[int, int], quantile: float
) -> None:
    histogram = Histogram(buckets=buckets)
    requests = latency.total(histogram)
    if requests == 0:
        with pytest.raises(ValueError, match="empty histogram"):
            latency.quantile_edge(histogram, quantile)
        return
    edge = latency.quantile_edge(histogram, quantile)
    assert latency.exceeding(histogram, edge).events <= (1 - quantile) * requests + 1e-9
    assert latency.exceeding(histogram, edge - 1).events > (1 - quantile) * requests - 1e-9


@given(st.integers(0, 300), st.floats(0, 10))
def test_a_widened_threshold_is_the_next_edge_at_or_above_what_was_asked_for(
    edge: int, factor: float
) -> None:
    wide = latency.widened(edge, factor)
    asked = latency.edge_ms(edge) * (1 + factor)
    assert asked * (1 - 1e-9) <= latency.edge_ms(wide) <= asked * math.pow(2, 1 / 16) * (1 + 1e-9)


@pytest.mark.parametrize(("factor", "steps"), [(0.0, 0), (0.1, 3), (0.25, 6), (1.0, 16), (3.0, 32)])
def test_exact_powers_stay_on_their_edge(factor: float, steps: int) -> None:
    assert latency.widened(100, factor) == 100 + steps


def test_counts_beyond_an_edge() -> None:
    assert latency.exceeding(HISTOGRAM, 30) == Counts(requests=100, events=10)
    assert latency.exceeding(HISTOGRAM, 31) == Counts(requests=100, events=5)
    assert latency.exceeding(Histogram(), 31) == Counts()

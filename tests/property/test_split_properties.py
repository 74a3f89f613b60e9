from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from promptship.routing.split import BUCKETS, bucket, takes_candidate

GOLDEN = Path(__file__).parents[1] / "golden" / "split.json"
texts = st.text(max_size=40)
shares = st.floats(0, 1)


@given(texts, texts, shares, shares)
def test_a_larger_share_only_adds_units(salt: str, unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert takes_candidate(salt, unit, high) or not takes_candidate(salt, unit, low)


@given(texts, texts, shares)
def test_a_unit_is_in_exactly_when_its_bucket_is_below_the_share(salt: str, unit: str, share: float) -> None:
    assert takes_candidate(salt, unit, share) == (bucket(salt, unit) < round(share * BUCKETS))
    assert 0 <= bucket(salt, unit) < BUCKETS


@given(texts, texts)
def test_nobody_at_zero_and_everybody_at_one(salt: str, unit: str) -> None:
    assert not takes_candidate(salt, unit, 0.0)
    assert takes_candidate(salt, unit, 1.0)


def test_the_share_is_kept_and_two_salts_are_independent() -> None:
    units = [f"user-{number}" for number in range(20_000)]
    first = {unit for unit in units if takes_candidate("a", unit, 0.3)}
    second = {unit for unit in units if takes_candidate("b", unit, 0.3)}
    # 20,000 draws: six standard errors are 0.019 and 0.012.
    assert abs(len(first) / len(units) - 0.3) < 0.019
    assert abs(len(first & second) / len(units) - 0.09) < 0.012


def test_golden_vectors_hold_in_every_language() -> None:
    vectors = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(vectors) > 10
    for vector in vectors:
        assert bucket(vector["salt"], vector["unit"]) == vector["bucket"], vector

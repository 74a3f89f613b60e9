"""Runs side by side share every limit of the providers: together they never make more calls than one of them takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.regression import endpoint_name, limits_of
from promptship.evals.shards import Part
from promptship.settings import EvaluationSettings, ProviderSettings, Settings
from promptship.tasks.sharding import Shards

caps = st.lists(st.integers(1, 64), min_size=1, max_size=4)
budget = st.none() | st.floats(0.01, 100)


def settings(most: list[int], spend_max_usd: float | None = None) -> Settings:
    providers = {
        f"p{number}": ProviderSettings(base_url=f"http://127.0.0.1:{number + 1}/v1", concurrency_max=one)
        for number, one in enumerate(most)
    }
    return Settings(providers=providers, evaluation=EvaluationSettings(spend_max_usd=spend_max_usd))


@given(caps, st.data())
def test_the_parts_of_a_limit_never_add_up_to_more_than_it(most: list[int], data: st.DataObject) -> None:
    side_by_side = data.draw(st.integers(1, min(most)))
    given_ = settings(most)
    limits = limits_of(given_, side_by_side=side_by_side)
    for name, provider in given_.providers.items():
        mine = min(limits.concurrency, limits.caps[endpoint_name(name, provider)])
        assert mine >= 1
        assert mine * side_by_side <= provider.concurrency_max
        assert (mine + 1) * side_by_side > provider.concurrency_max, "and no more is given away than must be"


@given(st.integers(0, 40), st.integers(1, 10))
def test_waves_hold_every_part_once_and_never_too_many(count: int, side_by_side: int) -> None:
    parts = tuple(Part(suite="s", number=number + 1, of=count) for number in range(count))
    waves = Shards(stable=None, parts=parts, side_by_side=side_by_side).waves()
    assert [part for wave in waves for part in wave] == list(parts)
    assert all(0 < len(wave) <= side_by_side for wave in waves)


@given(budget, budget)
def test_the_smallest_budget_counts(of_settings: float | None, of_command: float | None) -> None:
    given_ = [most for most in (of_settings, of_command) if most is not None]
    limits = limits_of(settings([3], of_settings), spend_max_usd=of_command)
    assert limits.spend_max_usd == min(given_, default=None)


@given(caps, st.integers(1, 100))
def test_what_the_command_line_says_goes_before_the_settings(most: list[int], wanted: int) -> None:
    limits = limits_of(settings(most), concurrency=wanted)
    assert (limits.concurrency, limits.caps) == (wanted, {})

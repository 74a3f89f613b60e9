"""How many calls an endpoint gets: never more than allowed, always enough to go on."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.chat import RateLimits
from promptship.evals.pacing import CLOSED_S_MAX, HOLD_S_MAX, SILENT_CALLS, Pace, Silence

happenings = st.lists(
    st.one_of(
        st.tuples(st.just("answered"), st.none() | st.integers(0, 50)),
        st.tuples(st.just("throttled"), st.none() | st.sampled_from([0.0, 0.5, 7.0])),
        st.tuples(st.just("failed"), st.none()),
    ),
    max_size=120,
)


def lived(pace: Pace, story: list[tuple[str, float | None]]) -> float:
    """Keeps the endpoint as busy as the pace allows while the story happens; returns the time."""
    now, under_way = 0.0, []
    for what, number in story:
        while True:
            wait_s = pace.wait_s(now)
            if not wait_s:
                pace.started()
                under_way.append(now)
                assert pace.active <= pace.limit <= pace.cap
                continue
            if under_way:
                break
            assert wait_s < inf, "nothing is under way, so nothing would ever wake the queue"
            now += wait_s
        began, now = under_way.pop(0), now + 0.01
        if what == "answered":
            left = None if number is None else RateLimits(requests_left=int(number), reset_s=3.0)
            pace.answered(now, left, tokens=10)
        elif what == "throttled":
            pace.throttled(now, began, number)
        else:
            pace.failed(now, began)
        pace.ended()
    return now


@given(happenings, st.integers(1, 64), st.booleans())
def test_it_never_exceeds_its_cap_never_falls_below_one_and_never_stops_for_good(
    story: list[tuple[str, float | None]], cap: int, adaptive: bool
) -> None:
    pace = Pace(cap=cap, adaptive=adaptive)
    now = lived(pace, story)
    assert 1 <= pace.limit <= cap
    assert adaptive or pace.limit == cap
    while pace.active:
        pace.ended()
    assert pace.wait_s(now) <= max(CLOSED_S_MAX, HOLD_S_MAX, 7.0)
    assert pace.wait_s(now + max(CLOSED_S_MAX, HOLD_S_MAX, 7.0)) == 0.0


@given(happenings)
def test_it_shrinks_exactly_when_the_endpoint_complains(story: list[tuple[str, float | None]]) -> None:
    only_answers: list[tuple[str, float | None]] = [(what, None) for what, _ in story if what == "answered"]
    pace = Pace(cap=64)
    lived(pace, only_answers)
    assert pace.limit == min(64, 16 + max(0, len(only_answers)))
    before = pace.limit
    pace.started()
    pace.throttled(1e6, 1e6 - 1, 0.0)
    assert pace.limit == max(1.0, before / 2)


def test_calls_of_before_the_cut_do_not_cut_again() -> None:
    pace = Pace(cap=64)
    for _ in range(16):
        pace.started()
    for _ in range(16):
        pace.throttled(10.0, 9.0, 0.0)
    assert pace.limit == 8.0
    pace.throttled(11.0, 10.5, 0.0)
    assert pace.limit == pytest.approx(5.6)


def test_after_the_first_cut_it_grows_by_one_per_round() -> None:
    pace = Pace(cap=64)
    pace.throttled(1.0, 0.5, 0.0)
    start = pace.limit
    for _ in range(int(start)):
        pace.started()
    for _ in range(int(start)):
        pace.answered(2.0)
    assert start + 0.8 < pace.limit <= start + 1.0


def test_retry_after_closes_the_endpoint_for_everybody_and_for_as_long() -> None:
    pace = Pace(cap=4, adaptive=False)
    pace.throttled(100.0, 99.0, 7.0)
    assert (pace.wait_s(100.0), pace.wait_s(106.5), pace.wait_s(107.0)) == (7.0, 0.5, 0.0)


def test_an_endpoint_that_goes_on_complaining_gets_longer_and_longer_pauses_whatever_it_asks_for() -> None:
    for asked_s, pauses in (
        (None, [0.5, 1.0, 2.0, 4.0, 8.0]),
        (0.0, [0.0, 0.0, 0.0, 0.5, 1.0]),
        (3.0, [3.0] * 5),
    ):
        pace, now, made = Pace(cap=4), 10.0, []
        for _ in range(5):
            for _ in range(3):  # calls that were under way together
                pace.throttled(now + 1.0, now, asked_s)
            now += 1.0
            made.append(pace.wait_s(now))
            now += made[-1]
        assert made == pauses


@pytest.mark.parametrize(
    ("limits", "active", "wait_s"),
    [
        (RateLimits(requests_left=3, reset_s=2.0), 2, 0.0),
        (RateLimits(requests_left=3, reset_s=2.0), 3, 2.0),
        (RateLimits(requests_left=0, reset_s=500.0), 0, HOLD_S_MAX),
        (RateLimits(requests_left=0), 0, 1.0),
        (RateLimits(tokens_left=199, reset_s=2.0), 1, 2.0),
        (RateLimits(tokens_left=200, reset_s=2.0), 1, 0.0),
        (RateLimits(), 3, 0.0),
    ],
)
def test_nothing_starts_that_the_endpoint_says_it_would_refuse(
    limits: RateLimits, active: int, wait_s: float
) -> None:
    pace = Pace(cap=8, adaptive=False)
    pace.started()
    pace.answered(50.0, limits, tokens=100)
    pace.ended()
    for _ in range(active):
        pace.started()
    assert pace.wait_s(50.0) == wait_s


def test_errors_shrink_only_in_a_row() -> None:
    pace = Pace(cap=32)
    for _ in range(9):
        pace.failed(1.0, 1.0)
        pace.failed(1.0, 1.0)
        pace.answered(1.0)
    assert pace.limit == 16.0
    for now in (2.0, 2.0, 2.0):
        pace.failed(now, now)
    assert pace.limit == 8.0


words = st.lists(
    st.tuples(st.sampled_from(["began", "heard", "missed", "missed again"]), st.floats(0, 5)), max_size=40
)


@given(words, st.floats(1, 20))
def test_an_endpoint_is_down_exactly_when_enough_calls_in_a_row_heard_nothing_for_long_enough(
    story: list[tuple[str, float]], max_s: float
) -> None:
    silence, now, since, calls = Silence(max_s), 0.0, None, 0
    for what, later in story:
        now += later
        if what == "began":
            silence.began(now)
            since = now if since is None else since
        elif what == "heard":
            silence.heard()
            since, calls = None, 0
        else:
            calls += what == "missed"
            down = silence.missed(now, again=what != "missed")
            assert down == (calls >= SILENT_CALLS and since is not None and now - since >= max_s)
            assert silence.calls == calls

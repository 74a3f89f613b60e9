from __future__ import annotations

import io
from dataclasses import replace

import pytest

from promptship.evals.progress import Meter, Standing, Watch, shown
from promptship.evals.rows import Row
from promptship.evals.score import Scored, Unscored

ROW = Row(case="a", arm="m", trial=0, digest="d", score=Scored(True, 1.0), cost_usd=0.01, judge_cost_usd=0.02)


class Clock:
    """Time by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_counts_what_became_of_the_rows_and_what_they_cost() -> None:
    clock = Clock()
    meter = Meter(10, lambda _: None, every_s=1.0, clock=clock)
    meter(ROW, False)
    meter(replace(ROW, score=Scored(False, 0.0)), False)
    meter(replace(ROW, score=Unscored("lost")), False)
    meter(replace(ROW, cached=True, cost_usd=0.0), False)
    meter(ROW, True)
    clock.now = 6.0
    standing = meter.standing()
    assert replace(standing, spent_usd=0.0) == Standing(
        total=10, done=5, reused=2, failed=1, unscored=1, seconds=6.0
    )
    assert standing.per_s == 0.5
    assert standing.left_s == 10.0
    assert standing.line() == (
        "5 of 10 trials, 1 failed, 1 without a score, 2 not paid again, 0.11 USD, 10 s left"
    )


def test_it_shows_not_more_often_than_wanted() -> None:
    clock = Clock()
    seen: list[int] = []
    meter = Meter(100, lambda standing: seen.append(standing.done), every_s=10.0, clock=clock)
    for second in range(35):
        clock.now = float(second)
        meter(ROW, False)
    assert seen == [11, 21, 31]


def test_nothing_done_means_nobody_knows_how_long() -> None:
    assert Standing(total=3, seconds=5.0).left_s is None
    assert Standing(total=3, done=3, reused=3, seconds=5.0).left_s == 0.0
    assert Standing(total=3, done=2, reused=2, seconds=5.0).left_s is None
    assert Standing(total=3).line() == "0 of 3 trials"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3661, "1 h 01 min")]
)
def test_durations_for_people(seconds: float | None, text: str) -> None:
    assert shown(seconds) == text


def test_where_nobody_watches_a_short_run_says_nothing() -> None:
    stream = io.StringIO()
    with Watch(2, stream=stream) as progress:
        progress(ROW, False)
        progress(ROW, False)
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_line_moves() -> None:
    stream = Terminal()
    watch = Watch(4, stream=stream, title="suite s")
    with watch as progress:
        progress(ROW, False)
        watch._show(progress.standing())
    assert "suite s: 1 of 4 trials" in stream.getvalue()

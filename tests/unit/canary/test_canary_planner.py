"""What a plan is expected to do: agrees with the theory, warns when it cannot decide, and its advice works."""

import math
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace

import numpy as np
import pytest

from promptship.canary import planner
from promptship.canary.laws import RateLaw, assumed
from promptship.canary.planner import Forecast, Spread, expected_requests, forecast, spread
from promptship.canary.simulate import Measured, Traffic, look_times, reach
from promptship.release.plan import Canary, Guardrail, Stage
from promptship.render.plan import in_words, plan_markdown, plan_text, time_of
from promptship.render.plan_chart import plan_chart

RAIL = Guardrail(metric="error_rate")
STAGE = Stage(share=0.1, margin=0.5, dwell=60.0, cap=3600.0)


def plan(*stages: Stage, rails: tuple[Guardrail, ...] = (RAIL,)) -> Canary:
    return Canary(stages=stages or (STAGE,), guardrails=rails)


def seen(canary: Canary, per_s: float, rate: float = 0.1) -> Forecast:
    return forecast(
        canary, [Measured(one, RateLaw(rate)) for one in canary.guardrails], Traffic(per_s), runs=60
    )


@pytest.fixture(scope="module")
def busy() -> Forecast:
    return seen(plan(), 40.0)


@pytest.fixture(scope="module")
def quiet() -> Forecast:
    return seen(plan(), 0.3)


def test_with_traffic_enough_good_prompts_pass_and_bad_ones_are_found(busy: Forecast) -> None:
    assert busy.unchanged.passes > 0.9
    assert busy.undecided == ()
    worst = busy.worse[-1]
    assert (worst.metric, worst.effect) == ("error_rate", 0.5)
    assert worst.rolled_back > 0.9
    assert worst.bad is not None
    assert worst.bad_extra == pytest.approx(worst.bad / 3)
    chances = [(one.passes + one.asked + one.rolled_back) for one in (busy.unchanged, *busy.worse)]
    assert chances == pytest.approx([1.0] * 5)


def test_larger_effects_are_seen_sooner_and_the_same_seed_says_the_same(busy: Forecast) -> None:
    (stage,) = busy.stages
    medians = [one.requests.median or math.inf for one in stage.see]
    assert medians == sorted(medians, reverse=True)
    assert asdict(seen(plan(), 40.0)) == asdict(busy)


def test_a_plan_that_cannot_decide_is_warned_about_and_each_advice_makes_it_decide(quiet: Forecast) -> None:
    (undecided,) = quiet.undecided
    assert undecided.chance is not None
    assert undecided.chance > 0.5
    assert undecided.needs_s is not None
    assert undecided.needs_s > STAGE.cap
    by_kind = {change.what: change.value for change in undecided.changes}
    assert {"cap", "margin"} <= set(by_kind)
    for what in ("cap", "margin", "share"):
        if what in by_kind:
            helped = seen(plan(STAGE.model_copy(update={what: by_kind[what]})), 0.3)
            assert helped.unchanged.asked < 0.25, what
    if "margin_floor" in by_kind:
        floored = RAIL.model_copy(update={"margin_floor": by_kind["margin_floor"]})
        assert seen(plan(rails=(floored,)), 0.3).unchanged.asked < 0.25


def test_the_warning_says_what_to_write(quiet: Forecast) -> None:
    words = " ".join(in_words(plan(), quiet))
    assert "WARNING" in words
    assert "cap of 1 h" in words
    assert 'cap = "' in words
    assert "margin = " in words


def test_requests_agree_with_the_theory() -> None:
    """Statistics 2(i): the median of a small effect is about (ln(1/alpha) + 0.4) / information."""
    one, stage = Measured(RAIL, RateLaw(0.1)), Stage(share=0.02, margin=1.0)
    log_e = math.log(20)
    found = reach(
        one,
        stage,
        np.full(300, 0.15),
        log_e,
        np.random.default_rng(1),
        safe=False,
        first=50,
        requests_max=1e6,
    )
    theory = expected_requests(one, stage, 0.15, log_e + 0.4, safe=False)
    assert np.median(found) == pytest.approx(theory, rel=0.25)
    assert expected_requests(one, stage, 0.0, log_e, safe=False) == math.inf
    tolerant = Measured(RAIL.model_copy(update={"tolerance": 0.2}), RateLaw(0.1))
    assert expected_requests(tolerant, stage, 0.15, log_e, safe=False) == math.inf


@pytest.mark.parametrize(
    ("metric", "base"),
    [("latency_p95", 1500.0), ("score:tone", 0.8), ("cost_usd", 0.01), ("tokens_out", 300.0)],
)
def test_every_kind_of_metric_has_a_law_that_can_be_planned_with(metric: str, base: float) -> None:
    one = Measured(Guardrail(metric=metric), assumed(metric, base))
    small, large = (expected_requests(one, STAGE, effect, 3.0, safe=False) for effect in (0.2, 0.6))
    assert 0 < large < small < math.inf
    assert 0 < expected_requests(one, STAGE, 0.0, 3.0, safe=True) < math.inf


def test_looks_come_at_dwell_and_cap_and_never_far_apart() -> None:
    times = look_times(Stage(share=0.5, dwell=333.0, cap=7200.0), Traffic(10.0))
    assert {335.0, 7200.0} <= set(times)
    gaps = np.diff([0.0, *times])
    assert np.all(gaps <= np.maximum(5.0, 0.06 * np.array(times)) + 5.0)
    assert look_times(Stage(share=1.0, dwell=0.0, cap=0.0), Traffic(1.0)) == [5.0]


def test_a_stage_that_asks_for_requests_nobody_sends_is_named() -> None:
    canary = Canary(
        stages=(STAGE,), guardrails=(RAIL.model_copy(update={"prove": False}),), requests_min=5000
    )
    (undecided,) = seen(canary, 1.0).undecided
    assert undecided.metric == "requests_min"


def test_a_spread_without_an_end_has_none() -> None:
    assert spread(np.array([])) == Spread(None, None)
    assert spread(np.array([1.0, 2.0, np.inf])) == Spread(2.0, None)


def test_text_page_and_picture_tell_the_same(quiet: Forecast) -> None:
    odd = replace(quiet, worse=tuple(replace(one, metric="check:<b>&") for one in quiet.worse))
    text, page = (write("supp<ort", plan(), odd, ["traffic: 0.3"]) for write in (plan_text, plan_markdown))
    for words in ("unchanged", "WARNING", "1 (10%)", "see +15%"):
        assert words in text, words
        assert words in page, words
    picture = plan_chart("supp<ort", plan(), odd)
    root = ET.fromstring(picture)
    words = " ".join(root.itertext())
    assert "supp<ort" in words
    assert "too slow" in words
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_hardly_any_advice_is_not_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing tried helps, the words say what else there is."""
    monkeypatch.setattr(planner, "_MARGINS", ())
    monkeypatch.setattr(planner, "_SHARES", ())
    found = seen(plan(Stage(share=0.01, margin=0.01, dwell=10.0, cap=60.0)), 0.05, rate=0.3)
    assert "`prove = false`" in " ".join(in_words(plan(), found))


def test_a_hard_stop_is_warned_of_exactly_when_unchanged_prompts_reach_it() -> None:
    stop = Guardrail(metric="check:leaks", stop_at=3)
    often, never = seen(plan(rails=(RAIL, stop)), 40.0, rate=0.1), seen(plan(rails=(stop,)), 40.0, rate=1e-6)
    (found,) = often.stopped
    assert (found.metric, found.stop_at, found.chance) == ("check:leaks", 3, often.unchanged.rolled_back)
    words = in_words(plan(rails=(RAIL, stop)), often)[1]
    assert "stopped by check:leaks in 100% of releases: stable has 10% of these itself" in words
    assert "about 30 of the candidate's answers" in words
    assert never.stopped == ()
    assert never.unchanged.passes > 0.9


def test_the_picture_says_times_as_the_text_does(busy: Forecast) -> None:
    passes = busy.unchanged.minutes
    assert f"passes after {time_of(passes.median)} / {time_of(passes.p90)}" in plan_chart(
        "support", plan(), busy
    )
    assert (time_of(0.67), time_of(61.4), time_of(None)) == ("40 s", "1 h 1 min", "never")

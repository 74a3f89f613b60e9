"""A release read as an experiment, from its ledger, and how it is shown."""

import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest

from promptship.canary.evidence import Baseline, Health, Histogram, StageCounts, Values
from promptship.canary.experiment import Experiment, experiment
from promptship.canary.look import take_look
from promptship.canary.scale import amount_bin, score_bin
from promptship.canary.state import State
from promptship.numbers import percent
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.release.plan import Canary, Guardrail, Plan, Stage
from promptship.render.experiment import experiment_chart, experiment_markdown, experiment_text, says
from tests.support.house import STAGES, House
from tests.support.ledger_stores import START

# Nothing is rolled back: the experiment goes on.
PLAN = STAGES.replace("margin_floor", "tolerance = 9\nmargin_floor") + "".join(
    f'[[plans.default.canary.guardrails]]\nmetric = "{metric}"\nprove = false\n'
    for metric in ("error_rate", "latency_p95", "feedback:thumbs_down")
)


@pytest.fixture(scope="module")
def found() -> Experiment:
    house = House(plan=PLAN)
    house.adopt()
    house.traffic(400, bad=0.1)
    release = house.push("Say hello, please.")
    house.run_flow(release)
    for _ in range(8):
        house.traffic(200, bad=0.28)
        house.look()
    return experiment(house.release(release), house.ledger.events(release))


def test_what_is_worse_is_said_to_be_with_both_numbers(found: Experiment) -> None:
    escalated = found.effects[0]
    assert escalated.effect is not None
    assert escalated.effect.values[0] == pytest.approx(0.28, abs=0.02)
    assert escalated.effect.absolute.low is not None
    assert escalated.effect.absolute.low > 0
    text = experiment_text(found)
    assert "worse" in text
    assert percent(escalated.effect.values[0]) in text


def test_a_metric_that_did_not_differ_is_not_said_to(found: Experiment) -> None:
    errors = found.effects[1]
    assert errors.effect is not None
    assert errors.effect.values == (0.0, 0.0)
    assert "no difference shown" in experiment_text(found)


def test_what_nobody_measured_is_not_a_number(found: Experiment) -> None:
    tone = found.effects[3]
    assert tone.metric == "feedback:thumbs_down"
    assert tone.effect is None
    assert "not measured" in experiment_markdown(found)


def test_the_picture_is_one_file_and_shows_every_metric(found: Experiment) -> None:
    picture = experiment_chart(found)
    words = " ".join(ET.fromstring(picture).itertext())
    assert all(one.metric in words for one in found.effects if one.effect is not None)
    assert "worse" in words
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_a_score_that_fell_is_worse_and_costs_are_in_dollars() -> None:
    rng, plan = (
        np.random.default_rng(1),
        Canary(
            stages=(Stage(share=0.3),),
            guardrails=(Guardrail(metric="score:tone"), Guardrail(metric="cost_usd")),
        ),
    )
    state, events, now = State.fresh(plan, Baseline()), [], START
    totals = {
        (metric, arm): Counter[int]()
        for metric in ("score:tone", "cost_usd")
        for arm in ("candidate", "stable")
    }
    for look in range(1, 25):
        for arm, n, score in (("candidate", 40, 0.7), ("stable", 100, 0.8)):
            totals["score:tone", arm].update(score_bin(x) for x in rng.beta(8 * score, 8 * (1 - score), n))
            totals["cost_usd", arm].update(amount_bin(x) for x in rng.lognormal(-5, 0.5, n))
        means = {
            metric: Values(
                **{arm: Histogram(buckets=dict(totals[metric, arm])) for arm in ("candidate", "stable")}
            )
            for metric in ("score:tone", "cost_usd")
        }
        counts = StageCounts(means=means)
        state, verdict = take_look(plan, 0, look, state, counts, Health(), elapsed_s=5.0 * look)
        fact = e.Looked(
            stage=0, look=look, as_of=now, state=state.model_dump(mode="json"), verdict=verdict.model_dump(mode="json"),
            given={"counts": counts.model_dump(mode="json", exclude_defaults=True)},
        )  # fmt: skip
        events.append(e.Event(release_id="r", seq=look, at=now, actor="watcher", fact=fact, prev="", hash=""))
    release = Release(
        id="r", seq=0, phase=Phase.CANARY, prompt="p", path="p", commit="c", author="a", opened_at=now, moved_at=now,
        plan=Plan(canary=plan),
    )  # fmt: skip
    tone, cost = experiment(release, events).effects
    assert tone.effect is not None and cost.effect is not None  # noqa: PT018
    assert tone.higher_is_better
    assert says(tone, tone.effect) == "worse"
    assert tone.effect.absolute.estimate == pytest.approx(-0.1, abs=0.02)
    assert says(cost, cost.effect) == "no difference shown"
    assert cost.effect.values[1] == pytest.approx(np.exp(-5 + 0.125), rel=0.05)
    assert "$0.007" in experiment_text(experiment(release, events))


def test_a_release_without_a_look_has_no_effects() -> None:
    house = House()
    house.adopt()
    release = house.push("Say hello, please.")
    found = experiment(house.release(release), house.ledger.events(release))
    assert found.effects == ()
    assert "no look" in experiment_text(found)

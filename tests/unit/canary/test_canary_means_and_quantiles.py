"""Verdicts on means and on all quantiles of latency: what is concluded, and that the sentence tells the numbers."""

import pytest

from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Finding,
    Health,
    Histogram,
    LatencyCounts,
    Outcome,
    StageCounts,
    Values,
    Verdict,
)  # fmt: skip
from promptship.canary.look import take_look
from promptship.canary.scale import amount_bin, score_bin
from promptship.canary.state import State
from promptship.canary.watch import Watch
from promptship.errors import PromptshipError
from promptship.release.plan import Canary, Guardrail, Stage, is_latency, is_mean
from promptship.render.verdict import brief, verdict_rows


def plan(metric: str, **more: object) -> Canary:
    guardrail = Guardrail.model_validate({"metric": metric, **more})
    return Canary(stages=(Stage(share=0.1, margin=0.5, dwell=0),), guardrails=(guardrail,), requests_min=1)


def histogram(metric: str, parts: dict[float, int]) -> Histogram:
    number = score_bin if metric.startswith("score:") else amount_bin
    return Histogram(buckets={number(value): count for value, count in parts.items()})


USUAL = {
    "score:help": {0.9: 700, 0.6: 200, 0.2: 100},
    "cost_usd": {0.002: 900, 0.01: 100},
    "tokens_out": {100.0: 900, 800.0: 100},
}
WORSE = {
    "score:help": {0.9: 300, 0.6: 300, 0.2: 400},
    "cost_usd": {0.002: 200, 0.01: 800},
    "tokens_out": {100.0: 300, 800.0: 700},
}


def look(metric: str, candidate: dict[float, int], **more: object) -> Verdict:
    past = histogram(metric, USUAL[metric])
    stable = histogram(metric, {value: 9 * count for value, count in USUAL[metric].items()})
    arms = ArmCounts(candidate=Counts(requests=1000), stable=Counts(requests=9000))
    given = StageCounts(
        means={metric: Values(candidate=histogram(metric, candidate), stable=stable)}, requests=arms
    )
    chosen = plan(metric, **more)
    begun = State.fresh(chosen, Baseline(means={metric: past}))
    return take_look(chosen, 0, 1, begun, given, Health(), elapsed_s=1.0)[1]


@pytest.mark.parametrize("metric", list(USUAL))
def test_an_unchanged_mean_advances_and_a_worse_one_is_rolled_back_in_its_own_direction(metric: str) -> None:
    assert look(metric, USUAL[metric]).outcome is Outcome.ADVANCE
    assert look(metric, WORSE[metric]).outcome is Outcome.ROLL_BACK
    better = dict(zip(WORSE[metric], sorted(USUAL[metric].values(), reverse=True), strict=True))
    assert look(metric, {next(iter(better)): 1000}).outcome is Outcome.ADVANCE


def test_the_finding_of_a_mean_names_both_means_their_numbers_the_margin_and_the_evidence() -> None:
    score = look("score:help", USUAL["score:help"]).findings[0]
    # 1 - 0.77 = 0.23 is missing; half as much again is the margin.
    assert score.mean_candidate == score.mean_stable == pytest.approx(0.77)
    assert score.margin == pytest.approx(0.115, rel=0.05)
    assert (score.rate_candidate, score.rate_stable) == (None, None)
    assert score.because.startswith("score:help is shown to stay within its margin of 0.11")
    assert (
        "on average candidate 0.77 (of 1,000), stable 0.77 (of 9,000) in this stage; the evidence"
        in score.because
    )
    cost = look("cost_usd", WORSE["cost_usd"])
    assert (
        "cost_usd is worse with the candidate: on average candidate $0.0083 (of 1,000), stable $0.0028"
        in cost.findings[0].because
    )
    assert "each answer counted with at most $0.0198" in cost.findings[0].because
    assert verdict_rows(cost)[0][2:4] == ("$0.0028 of 9,000", "$0.0083 of 1,000")
    assert brief(cost).startswith(
        "cost_usd $0.0083 of 1,000, stable $0.0028 of 9,000, harm over 1,000,000 of 20"
    )
    tokens = look("tokens_out", {100.0: 60, 800.0: 8}).findings[0]
    assert "tokens" in tokens.because
    assert tokens.threshold_safe == 20
    assert "more candidate requests if the candidate is as good as stable" in tokens.needs


def test_a_tolerated_rise_of_cost_is_not_rolled_back() -> None:
    little = {0.002: 800, 0.01: 200}
    assert look("cost_usd", little).outcome is Outcome.ROLL_BACK
    assert look("cost_usd", little, tolerance=0.5, prove=False).outcome is Outcome.ADVANCE


def test_costs_that_are_all_alike_are_seen_to_double() -> None:
    chosen = plan("cost_usd")
    past = histogram("cost_usd", {0.004: 5000})
    means = Values(candidate=histogram("cost_usd", {0.008: 300}), stable=histogram("cost_usd", {0.004: 2700}))
    begun = State.fresh(chosen, Baseline(means={"cost_usd": past}))
    arms = ArmCounts(candidate=Counts(requests=300), stable=Counts(requests=2700))
    _, verdict = take_look(
        chosen, 0, 1, begun, StageCounts(means={"cost_usd": means}, requests=arms), Health(), elapsed_s=1.0
    )
    assert verdict.outcome is Outcome.ROLL_BACK


def test_without_history_the_first_answers_set_the_cap_and_only_teach() -> None:
    chosen = plan("cost_usd")
    arms = ArmCounts(candidate=Counts(requests=100), stable=Counts(requests=900))

    def counts(times: int) -> StageCounts:
        values = Values(
            candidate=histogram("cost_usd", {0.01: 100 * times}),
            stable=histogram("cost_usd", {0.002: 900 * times}),
        )
        return StageCounts(means={"cost_usd": values}, requests=arms)

    state, first = take_look(
        chosen, 0, 1, State.fresh(chosen, Baseline()), counts(1), Health(), elapsed_s=1.0
    )
    assert first.outcome is Outcome.HOLD
    assert state.watches[0].log_harm == pytest.approx(0.0, abs=1e-12)
    _, second = take_look(chosen, 0, 2, state, counts(3), Health(), elapsed_s=1.0)
    assert second.outcome is Outcome.ROLL_BACK


PAST = Histogram(buckets={160: 900, 168: 60, 176: 35, 200: 5})


def slow(metric: str, candidate: dict[int, int]) -> tuple[State, Verdict]:
    stable = {160: 9000, 168: 600, 176: 350, 200: 50}
    chosen = plan(metric)
    latency = LatencyCounts(candidate=Histogram(buckets=candidate), stable=Histogram(buckets=stable))
    arms = ArmCounts(candidate=Counts(requests=sum(candidate.values())), stable=Counts(requests=10_000))
    begun = State.fresh(chosen, Baseline(latency=PAST))
    return take_look(
        chosen, 0, 1, begun, StageCounts(latency=latency, requests=arms), Health(), elapsed_s=1.0
    )


def finding(verdict: Verdict) -> Finding:
    return verdict.findings[0]


def test_latency_has_every_quantile_proven_and_latency_p95_its_own() -> None:
    # As stable in all but the last percent: there, as many take as long as stable's margin would allow to stable.
    tail = {160: 900, 168: 60, 176: 33, 200: 7}
    assert slow("latency_p95", tail)[1].outcome is Outcome.ADVANCE
    state, verdict = slow("latency", tail)
    watch = state.watches[0]
    assert isinstance(watch, Watch)
    by_quantile = [process.log_e for process in watch.safe_by_quantile]
    assert len(by_quantile) == 4
    assert watch.log_safe == min(by_quantile) == by_quantile[3]
    assert verdict.outcome is not Outcome.ADVANCE
    assert "answers of 2,139 ms or more" in finding(verdict).because
    assert slow("latency", {160: 1810, 168: 120, 176: 70})[1].outcome is Outcome.ADVANCE


def test_slower_answers_roll_back_whatever_quantile_they_are_at_and_it_is_named() -> None:
    _, verdict = slow("latency", {160: 1200, 168: 700, 176: 100})
    assert verdict.outcome is Outcome.ROLL_BACK
    assert (
        "answers of 1,069 ms or more (stable's p50 as the canary began): candidate 40% (800 of 2,000)"
        in finding(verdict).because
    )


def test_the_next_stage_of_latency_begins_every_proof_anew() -> None:
    state, _ = slow("latency", {160: 1800, 168: 120, 176: 80})
    watch = state.next_stage().watches[0]
    assert isinstance(watch, Watch)
    assert [process.log_e for process in watch.safe_by_quantile] == pytest.approx([0.0] * 4, abs=1e-12)


def test_kinds_of_metrics() -> None:
    kinds = {
        "latency": "l",
        "latency_p95": "l",
        "cost_usd": "m",
        "tokens_out": "m",
        "score:a": "m",
        "check:a": "r",
        "error_rate": "r",
    }
    for metric, kind in kinds.items():
        assert (is_latency(metric), is_mean(metric)) == (kind == "l", kind == "m")


@pytest.mark.parametrize("metric", ["latency", "latency_p95", "cost_usd", "score:help"])
def test_a_hard_stop_needs_something_to_count(metric: str) -> None:
    with pytest.raises(ValueError, match="stop_at counts bad requests"):
        Guardrail(metric=metric, stop_at=3)
    assert Guardrail(metric="check:pii", stop_at=1).stop_at == 1
    assert not issubclass(ValueError, PromptshipError)

import math

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
    Verdict,
)
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.canary.watch import Watch
from promptship.release.plan import Canary, Guardrail, Stage

PLAN = Canary(
    stages=(
        Stage(share=0.05, margin=1.0, dwell=60, cap=600),
        Stage(share=0.25, margin=0.5, dwell=60, cap=600),
    ),
    guardrails=(Guardrail(metric="error_rate"), Guardrail(metric="feedback:escalated", weight=3.0)),
)
HISTORY = Baseline(
    rates={
        "error_rate": Counts(requests=5000, events=100),
        "feedback:escalated": Counts(requests=5000, events=500),
    }
)


def counts(candidate: int, errors: int, escalated: int, stable: int = 19_000) -> StageCounts:
    def arms(events: int, rate: float) -> ArmCounts:
        zero = Counts(requests=stable, events=round(stable * rate))
        return ArmCounts(candidate=Counts(requests=candidate, events=events), stable=zero)

    rates = {"error_rate": arms(errors, 0.02), "feedback:escalated": arms(escalated, 0.1)}
    return StageCounts(rates=rates, requests=arms(0, 0.0))


def look(
    given: StageCounts, *, elapsed_s: float = 100.0, state: State | None = None, stage: int = 0
) -> Verdict:
    begun = state or State.fresh(PLAN, HISTORY)
    return take_look(PLAN, stage, 1, begun, given, Health(), elapsed_s=elapsed_s)[1]


def finding(verdict: Verdict, rule: str) -> Finding:
    return next(found for found in verdict.findings if found.rule == rule)


def test_a_candidate_as_good_as_stable_advances_once_it_is_proven() -> None:
    verdict = look(counts(1000, 20, 100))
    assert verdict.outcome is Outcome.ADVANCE
    proven = finding(verdict, "error_rate")
    assert proven.e_value == proven.e_safe
    assert proven.threshold == 20
    assert proven.because == (
        "error_rate is shown to stay within its margin of 2 percentage points: candidate 2% (20 of 1,000), stable 2% (380 of "
        "19,000) in this stage; the evidence of safety is 228 of the 20 it takes."
    )


def test_a_harmful_candidate_is_rolled_back_with_both_numbers() -> None:
    verdict = look(counts(300, 6, 75), elapsed_s=1.0)
    assert verdict.outcome is Outcome.ROLL_BACK
    assert verdict.decisive is finding(verdict, "feedback:escalated")
    harm = finding(verdict, "feedback:escalated")
    assert harm.threshold == pytest.approx(1 / (0.75 * 0.05))
    assert (harm.rate_candidate, harm.rate_stable) == (0.25, 0.1)
    assert "candidate 25% (75 of 300), stable 10% (1,900 of 19,000) in this stage" in harm.because
    assert harm.because.endswith(
        "and 26.67 is enough to roll back; the margin of this stage was 10 percentage points."
    )
    assert harm.e_harm is not None
    assert harm.e_harm > 26.67


def test_the_first_handful_is_neither_and_says_what_it_needs() -> None:
    verdict = look(counts(30, 1, 3, stable=570))
    assert verdict.outcome is Outcome.HOLD
    held = finding(verdict, "error_rate")
    assert held.needs == "about 550 more candidate requests if the candidate is as good as stable"
    assert held.margin == pytest.approx(0.02, rel=0.05)
    assert finding(verdict, "requests_min").needs == "20 more candidate requests"


def test_a_metric_nobody_measured_holds_and_is_no_number() -> None:
    given = counts(1000, 20, 100)
    given = given.model_copy(update={"rates": {"error_rate": given.rates["error_rate"]}})
    verdict = look(given)
    assert verdict.outcome is Outcome.HOLD
    silent = finding(verdict, "feedback:escalated")
    assert silent.outcome is Outcome.HOLD
    assert (silent.counts, silent.rate_candidate, silent.e_safe, silent.margin) == (None, None, None, None)
    assert "was not measured" in silent.because


@pytest.mark.parametrize("arm", ["candidate", "stable"])
def test_a_metric_measured_in_one_arm_only_is_not_measured(arm: str) -> None:
    given = counts(1000, 20, 100)
    one_armed = given.rates["error_rate"].model_copy(update={arm: Counts()})
    verdict = look(given.model_copy(update={"rates": {**given.rates, "error_rate": one_armed}}))
    assert finding(verdict, "error_rate").counts is None
    assert verdict.outcome is Outcome.HOLD


def test_what_was_proven_in_one_stage_must_be_proven_again_in_the_next() -> None:
    state, verdict = take_look(
        PLAN, 0, 1, State.fresh(PLAN, HISTORY), counts(1000, 20, 100), Health(), elapsed_s=100.0
    )
    assert verdict.outcome is Outcome.ADVANCE
    again = look(counts(60, 1, 6, stable=180), state=state.next_stage(), stage=1)
    assert again.outcome is Outcome.HOLD
    assert finding(again, "feedback:escalated").outcome is Outcome.HOLD


def test_harm_adds_up_over_stages() -> None:
    half = counts(120, 3, 20, stable=2280)
    state, first = take_look(PLAN, 0, 1, State.fresh(PLAN, HISTORY), half, Health(), elapsed_s=1.0)
    alone = look(counts(120, 3, 24, stable=360), stage=1, state=State.fresh(PLAN, HISTORY))
    carried = look(counts(120, 3, 24, stable=360), stage=1, state=state.next_stage())
    assert first.outcome is Outcome.HOLD
    harm_alone, harm_carried = (finding(v, "feedback:escalated").e_harm or 0 for v in (alone, carried))
    assert harm_carried > harm_alone > 1


def test_untrusted_telemetry_neither_rolls_back_nor_advances_and_at_the_cap_a_person_is_asked() -> None:
    begun = State.fresh(PLAN, HISTORY)
    bad = Health(problems=("the spool is 90 s behind", "12 lines were not records."))
    state, verdict = take_look(PLAN, 0, 1, begun, counts(300, 6, 75), bad, elapsed_s=100.0)
    assert (state, verdict.outcome) == (begun, Outcome.HOLD)
    assert [found.because for found in verdict.findings] == [
        "The telemetry of this look cannot be trusted, so nothing was judged: the spool is 90 s behind.",
        "The telemetry of this look cannot be trusted, so nothing was judged: 12 lines were not records.",
    ]
    _, late = take_look(PLAN, 0, 2, begun, counts(300, 6, 75), bad, elapsed_s=600.0)
    assert late.outcome is Outcome.ASK


def test_at_the_cap_without_an_answer_a_person_is_asked() -> None:
    verdict = look(counts(30, 1, 3, stable=570), elapsed_s=600.0)
    assert verdict.outcome is Outcome.ASK
    assert finding(verdict, "cap").because == (
        "The stage has lasted 10 min, its cap is 10 min, and there is no answer because of error_rate, feedback:escalated, "
        "requests_min: a person decides."
    )


def test_everybody_on_the_candidate_only_waits_for_the_dwell() -> None:
    plan = PLAN.model_copy(update={"stages": (Stage(share=1.0, dwell=60),)})
    begun = State.fresh(plan, HISTORY)
    early = take_look(plan, 0, 1, begun, counts(5, 5, 5, stable=0), Health(), elapsed_s=59.0)
    over = take_look(plan, 0, 2, begun, counts(5, 5, 5, stable=0), Health(), elapsed_s=60.0)
    assert early[1].outcome is Outcome.HOLD
    assert over[1].outcome is Outcome.ADVANCE
    assert over[0] == begun
    assert "cannot be compared" in finding(over[1], "error_rate").because


def test_without_history_the_first_stable_requests_only_teach() -> None:
    begun = State.fresh(PLAN, Baseline())
    first = counts(100, 60, 60, stable=1900)
    state, verdict = take_look(PLAN, 0, 1, begun, first, Health(), elapsed_s=1.0)
    assert verdict.outcome is Outcome.HOLD
    assert finding(verdict, "error_rate").e_harm == pytest.approx(1.0)
    _, second = take_look(PLAN, 0, 2, state, counts(200, 120, 120, stable=3800), Health(), elapsed_s=2.0)
    assert second.outcome is Outcome.ROLL_BACK


def test_a_candidate_that_only_fails_is_rolled_back_within_ten_requests() -> None:
    verdict = look(counts(10, 10, 0, stable=190), elapsed_s=1.0)
    assert verdict.outcome is Outcome.ROLL_BACK
    assert verdict.decisive is not None
    assert verdict.decisive.rule == "error_rate"


def test_a_tolerated_worsening_is_not_rolled_back() -> None:
    strict, lenient = (
        PLAN.model_copy(update={"guardrails": (Guardrail(metric="error_rate", tolerance=tolerance),)})
        for tolerance in (0.0, 1.0)
    )
    given = counts(3000, 108, 0, stable=57_000)
    outcomes = [
        take_look(plan, 0, 1, State.fresh(plan, HISTORY), given, Health(), elapsed_s=1.0)[1].outcome
        for plan in (strict, lenient)
    ]
    assert outcomes == [Outcome.ROLL_BACK, Outcome.HOLD]


def test_overwhelming_evidence_still_fits_a_number() -> None:
    given = counts(100_000, 90_000, 0, stable=1_900_000)
    harm = finding(look(given), "error_rate")
    assert harm.e_value is not None
    assert math.isfinite(harm.e_value)
    assert "over 1,000,000" in harm.because


LATENCY = Canary(
    stages=(Stage(share=0.2, margin=0.25, dwell=0),),
    guardrails=(Guardrail(metric="latency_p95", prove=True),),
)
PAST = Histogram(buckets={160: 900, 168: 60, 176: 40})


def slow(
    candidate: dict[int, int], stable: dict[int, int], history: Histogram = PAST
) -> tuple[State, Verdict]:
    latencies = LatencyCounts(candidate=Histogram(buckets=candidate), stable=Histogram(buckets=stable))
    requests = ArmCounts(
        candidate=Counts(requests=sum(candidate.values())), stable=Counts(requests=sum(stable.values()))
    )
    given = StageCounts(latency=latencies, requests=requests)
    begun = State.fresh(LATENCY, Baseline(latency=history))
    return take_look(LATENCY, 0, 1, begun, given, Health(), elapsed_s=1.0)


def edges(state: State) -> tuple[int, ...]:
    watch = state.watches[0]
    assert isinstance(watch, Watch)
    return watch.edges


def test_latency_is_judged_on_both_thresholds_and_names_them() -> None:
    state, verdict = slow({160: 450, 168: 30, 176: 20}, {160: 1800, 168: 120, 176: 80})
    found = finding(verdict, "latency_p95")
    # p95 of history lies in bucket 168: slow from 2^(169/16) ms on; 25 % more is 6 buckets (29.7 %) after rounding up.
    assert edges(state) == (161, 161, 169, 177)
    assert found.counts == ArmCounts(
        candidate=Counts(requests=500, events=20), stable=Counts(requests=2000, events=80)
    )
    assert (
        "answers of 1,512 ms or more (stable's p95 as the canary began): candidate 4% (20 of 500), stable 4%"
        in found.because
    )
    assert "1,961 ms" in found.because
    assert found.margin is None


def test_slow_answers_roll_back() -> None:
    _, verdict = slow({160: 350, 168: 50, 184: 100}, {160: 1800, 168: 120, 176: 80})
    assert verdict.outcome is Outcome.ROLL_BACK


def test_too_few_answers_to_know_what_is_slow_is_not_measured() -> None:
    _, verdict = slow({160: 10}, {160: 99}, history=Histogram())
    assert finding(verdict, "latency_p95").counts is None
    assert verdict.outcome is Outcome.HOLD
    state, _ = slow({160: 10}, {160: 100}, history=Histogram())
    assert edges(state) == (161, 161, 161, 161)

"""The promise of the canary, both ways: it rolls back exactly when, it advances exactly when."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.canary.decide import decide
from promptship.canary.evidence import SEVERITY, ArmCounts, Counts, Health, Outcome
from promptship.canary.reading import Reading, Split
from promptship.release.plan import Canary, Guardrail, Stage

METRICS = ("error_rate", "refusal_rate", "feedback:escalated", "latency_p95")
# Every threshold that these plans can have is among the e-values, so that "reaches" and "exceeds" are told apart.
E_VALUES = st.sampled_from((0.0, 0.5, 1.0, 3.999, 4.0, 7.999, 8.0, 15.9, 16.0, 20.0, 64.0, 1e299))
COUNTS = ArmCounts(candidate=Counts(requests=100, events=5), stable=Counts(requests=900, events=45))
TIMES = st.sampled_from((0.0, 59.9, 60.0, 61.0, 599.9, 600.0, 1e6))

SPLITS = st.sampled_from(
    (
        None,
        None,
        *(
            Split(assigned=COUNTS, share=0.1, e_value=e_value, threshold=1000.0)
            for e_value in (0.2, 999.9, 1000.0)
        ),
    )
)

Look = tuple[Canary, list[Reading], int, float, Health, Split | None]
"""Plan, readings, candidate requests, seconds in the stage, health, how the units fell."""


@st.composite
def plans(draw: st.DrawFn) -> Canary:
    metrics = draw(st.sampled_from((METRICS[:1], METRICS[:2], METRICS)))
    weights = draw(st.sampled_from([(1.0,) * 4, (2.0, 2.0, 2.0, 2.0), (3.0, 1.0, 2.0, 2.0)]))
    guardrails = tuple(
        Guardrail(
            metric=metric,
            weight=weight,
            prove=draw(st.booleans()),
            stop_at=None if metric == "latency_p95" else draw(st.sampled_from((None, None, 3))),
        )
        for metric, weight in zip(metrics, weights, strict=False)
    )
    share = draw(st.sampled_from((0.01, 0.5, 1.0)))
    return Canary(
        stages=(Stage(share=share, dwell=60.0, cap=600.0),),
        guardrails=guardrails,
        alpha=0.25,
        alpha_advance=0.0625,
        requests_min=50,
        units_min=30,
    )


@st.composite
def looks(draw: st.DrawFn) -> Look:
    plan = draw(plans())
    readings = [
        Reading(
            guardrail=guardrail,
            counts=draw(st.sampled_from((COUNTS, COUNTS, COUNTS, None))),
            e_harm=draw(st.sampled_from((0.5, 1.0)) | E_VALUES),
            e_safe=draw(st.sampled_from((16.0, 64.0)) | E_VALUES),
            margin=0.01,
            bad=draw(st.sampled_from((0, 0, 2, 3, 4))),
            design_effect=draw(st.sampled_from((1.0, 1.0, 1.49, 1.5, 9.0))),
            units=draw(st.sampled_from((None, 29, 30, 30, 31))),
        )
        for guardrail in plan.guardrails
    ]
    problems = draw(st.sampled_from(((), (), (), ("the spool is 90 s behind",))))
    requests = draw(st.sampled_from((0, 49, 50, 51, 1000)))
    return plan, readings, requests, draw(TIMES), Health(problems=problems), draw(SPLITS)


def conclude(look: Look) -> Outcome:
    plan, readings, requests, elapsed_s, health, split = look
    return decide(
        plan, 0, 1, readings, requests=requests, elapsed_s=elapsed_s, health=health, split=split
    ).outcome


def harmed(plan: Canary, reading: Reading) -> bool:
    weights = sum(guardrail.weight for guardrail in plan.guardrails)
    return reading.e_harm >= 1 / (reading.guardrail.weight / weights * plan.alpha)


def stopped(reading: Reading) -> bool:
    return reading.guardrail.stop_at is not None and reading.bad >= reading.guardrail.stop_at


def mismatched(split: Split | None) -> bool:
    return split is not None and split.e_value >= split.threshold


def too_few_units(plan: Canary, reading: Reading) -> bool:
    repeat = reading.guardrail.prove and reading.design_effect >= 1.5
    return repeat and reading.units is not None and reading.units < plan.units_min


@settings(max_examples=150)
@given(looks())
def test_rolls_back_exactly_when_a_hard_stop_or_comparable_evidence_of_harm_reaches_its_threshold(
    look: Look,
) -> None:
    plan, readings, _, _, health, split = look
    harm = any(harmed(plan, reading) for reading in readings) and not mismatched(split)
    expected = not health.problems and (harm or any(map(stopped, readings)))
    assert (conclude(look) is Outcome.ROLL_BACK) == expected


@settings(max_examples=150)
@given(looks())
def test_advances_exactly_when_nothing_harms_and_everything_that_must_be_proven_is(look: Look) -> None:
    plan, readings, requests, elapsed_s, health, split = look
    alone = plan.stages[0].share == 1.0
    proven = all(
        r.counts is not None
        and (not r.guardrail.prove or r.e_safe >= 1 / plan.alpha_advance)
        and not too_few_units(plan, r)
        for r in readings
    )
    expected = (
        not health.problems
        and not mismatched(split)
        and not any(harmed(plan, reading) or stopped(reading) for reading in readings)
        and elapsed_s >= plan.stages[0].dwell
        and (alone or (proven and requests >= plan.requests_min))
    )
    assert (conclude(look) is Outcome.ADVANCE) == expected


@settings(max_examples=150)
@given(looks())
def test_asks_a_person_exactly_when_the_cap_is_reached_without_an_answer(look: Look) -> None:
    plan, readings, requests, elapsed_s, health, split = look
    without_cap = plan.model_copy(update={"stages": (plan.stages[0].model_copy(update={"cap": math.inf}),)})
    undecided = conclude((without_cap, readings, requests, elapsed_s, health, split)) is Outcome.HOLD
    assert (conclude(look) is Outcome.ASK) == (undecided and elapsed_s >= plan.stages[0].cap)


@settings(max_examples=80)
@given(looks(), st.sampled_from((1.0, 2.0, 8.0)))
def test_more_harm_never_makes_a_verdict_better_and_more_safety_never_worse(
    look: Look, factor: float
) -> None:
    plan, readings, requests, elapsed_s, health, split = look
    before = SEVERITY[conclude(look)]
    worse = [reading.model_copy(update={"e_harm": reading.e_harm * factor}) for reading in readings]
    safer = [reading.model_copy(update={"e_safe": reading.e_safe * factor}) for reading in readings]
    assert SEVERITY[conclude((plan, worse, requests, elapsed_s, health, split))] >= before
    assert SEVERITY[conclude((plan, safer, requests, elapsed_s, health, split))] <= before


@settings(max_examples=80)
@given(looks())
def test_evidence_that_was_not_measured_or_not_trusted_never_advances(look: Look) -> None:
    plan, readings, requests, elapsed_s, health, split = look
    silent = [reading.model_copy(update={"counts": None}) for reading in readings]
    if plan.stages[0].share < 1:
        assert conclude((plan, silent, requests, elapsed_s, health, split)) is not Outcome.ADVANCE
    broken = conclude((plan, readings, requests, elapsed_s, Health(problems=("clock skew",)), split))
    assert broken is (Outcome.ASK if elapsed_s >= plan.stages[0].cap else Outcome.HOLD)


@settings(max_examples=80)
@given(looks())
def test_every_finding_is_a_sentence_and_the_worst_finding_is_the_verdict(look: Look) -> None:
    plan, readings, requests, elapsed_s, health, split = look
    verdict = decide(plan, 0, 7, readings, requests=requests, elapsed_s=elapsed_s, health=health, split=split)
    assert verdict.look == 7
    assert SEVERITY[verdict.outcome] == max(SEVERITY[finding.outcome] for finding in verdict.findings)
    for finding in verdict.findings:
        assert finding.because.endswith(".")
        assert finding.because[0].isupper() or finding.because.startswith(finding.rule)
        hard = "hard stop" in finding.because
        if finding.rule in METRICS and finding.outcome is not Outcome.ADVANCE and not hard:
            assert finding.e_value is not None
            assert finding.threshold is not None
        if finding.counts is None:
            assert finding.rate_candidate is None
            assert finding.rate_stable is None


def test_unequal_weights_spend_unequal_parts_of_alpha() -> None:
    guardrails = (Guardrail(metric="error_rate", weight=3.0), Guardrail(metric="refusal_rate", weight=1.0))
    plan = Canary(guardrails=guardrails, alpha=0.25)
    outcomes = {}
    for e_harm in (5.3, 5.4, 15.9, 16.0):
        for guardrail in guardrails:
            readings = [
                Reading(guardrail=g, counts=COUNTS, e_harm=e_harm if g is guardrail else 1.0)
                for g in guardrails
            ]
            verdict = decide(plan, 0, 1, readings, requests=100, elapsed_s=1.0, health=Health())
            outcomes[guardrail.metric, e_harm] = verdict.outcome is Outcome.ROLL_BACK
    assert [outcomes["error_rate", e] for e in (5.3, 5.4, 15.9, 16.0)] == [False, True, True, True]
    assert [outcomes["refusal_rate", e] for e in (5.3, 5.4, 15.9, 16.0)] == [False, False, False, True]


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_no_guardrail_and_no_time_is_never_an_advance(share: float) -> None:
    plan = Canary(stages=(Stage(share=share),))
    assert decide(plan, 0, 1, [], requests=0, elapsed_s=0.0, health=Health()).outcome is Outcome.HOLD


@pytest.mark.parametrize(
    ("effect", "units", "outcome"),
    [
        (1.0, 1, Outcome.ADVANCE),
        (1.49, 1, Outcome.ADVANCE),
        (1.5, 29, Outcome.HOLD),
        (1.5, 30, Outcome.ADVANCE),
        (9.0, None, Outcome.ADVANCE),
    ],
)
def test_repeat_units_are_asked_for_from_their_design_effect_on(
    effect: float, units: int | None, outcome: Outcome
) -> None:
    guardrail = Guardrail(metric="error_rate")
    plan = Canary(stages=(Stage(share=0.1, dwell=0),), guardrails=(guardrail,), units_min=30)
    reading = Reading(guardrail=guardrail, counts=COUNTS, e_safe=20.0, design_effect=effect, units=units)
    verdict = decide(plan, 0, 1, [reading], requests=100, elapsed_s=1.0, health=Health())
    assert verdict.outcome is outcome

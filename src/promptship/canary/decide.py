"""The rule of the canary: bad news may act early, good news must wait, and no news is neither.

Per look (statistics 2(h)):
- untrusted telemetry judges nothing: HOLD, no matter what the numbers say;
- ROLL_BACK exactly when a hard stop is reached (that many bad candidate requests, a fact and no inference), or the units fell on
  the arms as they should and the evidence of harm of some guardrail reaches 1/(w alpha), w being its part of all weights (weighted
  Bonferroni: over all guardrails and looks a candidate that is not worse is rolled back with probability at most alpha);
- units that did not fall on the arms as they should make every comparison invalid: HOLD;
- ADVANCE only when every guardrail was measured, every one with `prove` has evidence of safety of at least 1/alpha_advance in this
  stage (each at its own alpha: all must pass), on enough different units where units repeat, the dwell is over and enough candidate
  requests were seen;
- otherwise HOLD, and from the cap on ASK, also when untrusted telemetry is what kept the answer away.
At a share of 1.0 nothing is left to compare with: the dwell and the harm known so far decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptship.canary import because
from promptship.canary.evidence import Finding, Health, Outcome, Verdict
from promptship.canary.reading import Reading, Split
from promptship.canary.units import REPEATS_FROM
from promptship.release.plan import Canary, Stage


def decide(
    plan: Canary,
    stage: int,
    look: int,
    readings: Sequence[Reading],
    *,
    requests: int,
    elapsed_s: float,
    health: Health,
    split: Split | None = None,
) -> Verdict:
    """Conclude one look.

    `requests`: the candidate's in this stage; `elapsed_s`: since the stage began; `split`: None where it is not known.
    """
    here = plan.stages[stage]
    if health.problems:
        findings = [because.untrusted(problem) for problem in health.problems]
    elif split is not None and split.e_value >= split.threshold:
        findings = [because.stopped(reading) for reading in readings if _stops(reading)]
        findings.append(because.mismatch(split))
    else:
        findings = [_weigh(plan, here, reading) for reading in readings]
        findings += _wait(plan, here, requests, elapsed_s)
        findings += _units(plan, here, readings)
    holding = [finding.rule for finding in findings if finding.outcome is Outcome.HOLD]
    if elapsed_s >= here.cap and holding:
        findings.append(because.cap_reached(here, elapsed_s, holding))
    return Verdict(stage=stage, look=look, findings=tuple(findings))


def harm_threshold(plan: Canary, reading: Reading) -> float:
    """E-value of harm at which the guardrail rolls back: 1/(w alpha)."""
    weight = reading.guardrail.weight / sum(guardrail.weight for guardrail in plan.guardrails)
    return 1 / (weight * plan.alpha)


def _stops(reading: Reading) -> bool:
    stop_at = reading.guardrail.stop_at
    return stop_at is not None and reading.bad >= stop_at


def _weigh(plan: Canary, stage: Stage, reading: Reading) -> Finding:
    harm, safe = harm_threshold(plan, reading), 1 / plan.alpha_advance
    if _stops(reading):
        return because.stopped(reading)
    if reading.e_harm >= harm:
        return because.harmful(reading, harm)
    if stage.share >= 1:
        return because.without_control(reading, harm)
    if reading.counts is None:
        return because.not_measured(reading, harm)
    if not reading.guardrail.prove:
        return because.not_harmful(reading, harm)
    if reading.e_safe >= safe:
        return because.proven(reading, safe)
    return because.undecided(reading, harm, safe)


def _wait(plan: Canary, stage: Stage, requests: int, elapsed_s: float) -> Iterator[Finding]:
    yield because.dwell(stage, elapsed_s, over=elapsed_s >= stage.dwell)
    if stage.share < 1:
        yield because.requests_seen(plan, requests, enough=requests >= plan.requests_min)


def _units(plan: Canary, stage: Stage, readings: Sequence[Reading]) -> Iterator[Finding]:
    """Enough different units behind every proof, where the units are seen to repeat themselves."""
    for reading in readings:
        repeats = reading.guardrail.prove and reading.design_effect >= REPEATS_FROM
        if stage.share < 1 and repeats and reading.units is not None:
            yield because.units_seen(plan, reading, reading.units, enough=reading.units >= plan.units_min)

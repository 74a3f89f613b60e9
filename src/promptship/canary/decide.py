"""The rule of the canary: bad news may act early, good news must wait, and no news is neither.

Per look (statistics 2(h)):
- untrusted telemetry judges nothing: HOLD, no matter what the numbers say;
- ROLL_BACK exactly when the evidence of harm of some guardrail reaches 1/(w alpha), w being its part of all weights (weighted
  Bonferroni: over all guardrails and looks a candidate that is not worse is rolled back with probability at most alpha);
- ADVANCE only when every guardrail was measured, every one with `prove` has evidence of safety of at least 1/alpha_advance in this
  stage (each at its own alpha: all must pass), the dwell is over and enough candidate requests were seen;
- otherwise HOLD, and from the cap on ASK, also when untrusted telemetry is what kept the answer away.
At a share of 1.0 nothing is left to compare with: the dwell and the harm known so far decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptship.canary import because
from promptship.canary.evidence import Finding, Health, Outcome, Verdict
from promptship.canary.reading import Reading
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
) -> Verdict:
    """Conclude one look. `requests`: the candidate's in this stage; `elapsed_s`: since the stage began."""
    here = plan.stages[stage]
    if health.problems:
        findings = [because.untrusted(problem) for problem in health.problems]
    else:
        findings = [_weigh(plan, here, reading) for reading in readings]
        findings += _wait(plan, here, requests, elapsed_s)
    if elapsed_s >= here.cap and any(finding.outcome is Outcome.HOLD for finding in findings):
        findings.append(because.cap_reached(here, elapsed_s))
    return Verdict(stage=stage, look=look, findings=tuple(findings))


def harm_threshold(plan: Canary, reading: Reading) -> float:
    """E-value of harm at which the guardrail rolls back: 1/(w alpha)."""
    weight = reading.guardrail.weight / sum(guardrail.weight for guardrail in plan.guardrails)
    return 1 / (weight * plan.alpha)


def _weigh(plan: Canary, stage: Stage, reading: Reading) -> Finding:
    harm, safe = harm_threshold(plan, reading), 1 / plan.alpha_advance
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

"""The sentences of a verdict: every finding says what was concluded from which numbers, and what would change it."""

from __future__ import annotations

import math

from promptship.canary.evidence import ArmCounts, Counts, Finding, Outcome
from promptship.canary.reading import Reading
from promptship.release.plan import Canary, Stage

_HUGE, _TINY, _HUNDRED, _MINUTE, _HOUR = 1e6, 1e-3, 100, 60, 3600


def percent(rate: float) -> str:
    """A rate with three significant digits: `0.12%`, `4.9%`, `12.3%`, `100%`."""
    return f"{float(f'{100 * rate:.3g}'):.10g}%"


def e_value(value: float) -> str:
    """An e-value with three significant digits, rounded down: 59.99 must not read as the 60 that it has not reached."""
    if value > _HUGE:
        return "over 1,000,000"
    if value < _TINY:
        return "under 0.001"
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    down = math.floor(value / unit + 1e-6) * unit
    return f"{down:,.0f}" if down >= _HUNDRED else f"{down:.3g}"


def at_least(value: float) -> str:
    """A threshold: `20`, `66.67`, `1,200`."""
    return f"{round(value, 2):,.10g}"


def duration(seconds: float) -> str:
    """`45 s`, `10 min`, `2.5 h`."""
    if seconds < _MINUTE:
        return f"{seconds:.3g} s"
    return f"{seconds / _MINUTE:.3g} min" if seconds < _HOUR else f"{seconds / _HOUR:.4g} h"


def count(number: int, noun: str) -> str:
    """`1 candidate request`, `2,400 candidate requests`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _rounded(number: int) -> int:
    """Two significant digits: an estimate must not look like a measurement."""
    return int(float(f"{number:.2g}"))


def _rate(counts: Counts) -> float | None:
    return counts.events / counts.requests if counts.requests else None


def _of(counts: Counts) -> str:
    rate = _rate(counts)
    share = "none" if rate is None else percent(rate)
    return f"{share} ({counts.events:,} of {counts.requests:,})"


def _arms(counts: ArmCounts | None) -> str:
    if counts is None:
        return "nothing was counted in this stage"
    return f"candidate {_of(counts.candidate)}, stable {_of(counts.stable)} in this stage"


def _measured(reading: Reading) -> str:
    slow = "" if reading.limits is None else f"answers of {reading.limits.slow_ms:,.0f} ms or more: "
    return slow + _arms(reading.counts)


def _margin(reading: Reading) -> str:
    if reading.limits is not None:
        return f"{reading.limits.margin_ms:,.0f} ms for stable's {reading.limits.slow_ms:,.0f} ms"
    return "unknown" if reading.margin is None else f"{percent(reading.margin).rstrip('%')} percentage points"


def _finding(
    reading: Reading,
    outcome: Outcome,
    because: str,
    *,
    e: float | None,
    threshold: float | None,
    needs: str = "",
) -> Finding:
    counts = reading.counts
    return Finding(
        rule=reading.guardrail.metric,
        outcome=outcome,
        because=because,
        counts=counts,
        rate_candidate=None if counts is None else _rate(counts.candidate),
        rate_stable=None if counts is None else _rate(counts.stable),
        e_value=e,
        threshold=threshold,
        e_harm=reading.e_harm,
        e_safe=reading.e_safe if reading.guardrail.prove and counts is not None else None,
        margin=reading.margin,
        needs=needs,
    )


def harmful(reading: Reading, threshold: float) -> Finding:
    """ROLL_BACK: the evidence of harm has reached its threshold."""
    tolerance = reading.guardrail.tolerance
    beyond = f" by more than the tolerated {percent(tolerance)}" if tolerance else ""
    text = (
        f"{reading.guardrail.metric} is worse with the candidate{beyond}: {_measured(reading)}; "
        f"the evidence of harm is {e_value(reading.e_harm)}, and {at_least(threshold)} rolls back."
    )
    return _finding(reading, Outcome.ROLL_BACK, text, e=reading.e_harm, threshold=threshold)


def without_control(reading: Reading, threshold: float) -> Finding:
    """ADVANCE: at a share of 1.0 there is nothing to compare with, and what is known shows no harm."""
    text = (
        f"{reading.guardrail.metric} cannot be compared while the candidate serves everybody; from the stages before, "
        f"the evidence of harm is {e_value(reading.e_harm)} of the {at_least(threshold)} that roll back."
    )
    return _finding(reading, Outcome.ADVANCE, text, e=reading.e_harm, threshold=threshold)


def not_measured(reading: Reading, threshold: float) -> Finding:
    """HOLD: silence is neither a pass nor a failure."""
    metric = reading.guardrail.metric
    text = f"{metric} was not measured in both arms of this stage, so it neither passes nor fails."
    needs = f"requests of both arms on which {metric} is measured"
    return _finding(reading, Outcome.HOLD, text, e=reading.e_harm, threshold=threshold, needs=needs)


def not_harmful(reading: Reading, threshold: float) -> Finding:
    """ADVANCE: a guardrail that can only roll back, and does not."""
    text = (
        f"{reading.guardrail.metric} need not be proven and is not shown to be worse: {_measured(reading)}; "
        f"the evidence of harm is {e_value(reading.e_harm)} of the {at_least(threshold)} that roll back."
    )
    return _finding(reading, Outcome.ADVANCE, text, e=reading.e_harm, threshold=threshold)


def proven(reading: Reading, threshold: float) -> Finding:
    """ADVANCE: non-inferiority is shown in this stage."""
    text = (
        f"{reading.guardrail.metric} is shown to stay within its margin of {_margin(reading)}: {_measured(reading)}{_beyond(reading)}; "
        f"the evidence of safety is {e_value(reading.e_safe)} of the {at_least(threshold)} it takes."
    )
    return _finding(reading, Outcome.ADVANCE, text, e=reading.e_safe, threshold=threshold)


def undecided(reading: Reading, harm: float, safe: float) -> Finding:
    """HOLD: neither harm nor safety is shown yet."""
    text = (
        f"{reading.guardrail.metric} is not yet shown to be safe or harmful: {_measured(reading)}{_beyond(reading)}; "
        f"the evidence of safety is {e_value(reading.e_safe)} of {at_least(safe)}, of harm {e_value(reading.e_harm)} of "
        f"{at_least(harm)}, the margin {_margin(reading)}."
    )
    needs = ""
    if reading.requests_needed:
        more = _rounded(reading.requests_needed)
        needs = f"about {more:,} more candidate requests if the candidate is as good as stable"
    finding = _finding(reading, Outcome.HOLD, text, e=reading.e_harm, threshold=harm, needs=needs)
    return finding.model_copy(update={"threshold_safe": safe})


def _beyond(reading: Reading) -> str:
    if reading.counts_margin is None or reading.limits is None:
        return ""
    return f", and {_of(reading.counts_margin.candidate)} of the candidate's took {reading.limits.margin_ms:,.0f} ms or more"


def untrusted(problem: str) -> Finding:
    """HOLD: numbers that cannot be trusted decide nothing, in either direction."""
    text = f"The telemetry of this look cannot be trusted, so nothing was judged: {problem.rstrip('.')}."
    return Finding(
        rule="telemetry", outcome=Outcome.HOLD, because=text, needs="telemetry without this problem"
    )


def dwell(stage: Stage, elapsed_s: float, *, over: bool) -> Finding:
    """ADVANCE once the dwell is over, HOLD before."""
    if over:
        text = f"The stage has lasted {duration(elapsed_s)}, at least its dwell of {duration(stage.dwell)}."
        return Finding(rule="dwell", outcome=Outcome.ADVANCE, because=text)
    text = f"The stage has lasted {duration(elapsed_s)} of its dwell of {duration(stage.dwell)}."
    needs = f"{duration(stage.dwell - elapsed_s)} more"
    return Finding(rule="dwell", outcome=Outcome.HOLD, because=text, needs=needs)


def requests_seen(plan: Canary, requests: int, *, enough: bool) -> Finding:
    """ADVANCE once the candidate has served enough requests in this stage, HOLD before."""
    if enough:
        text = f"The candidate has served {count(requests, 'request')} in this stage, at least the {plan.requests_min:,} required."
        return Finding(rule="requests_min", outcome=Outcome.ADVANCE, because=text)
    text = f"The candidate has served {requests:,} of the {count(plan.requests_min, 'request')} required in this stage."
    needs = f"{count(plan.requests_min - requests, 'more candidate request')}"
    return Finding(rule="requests_min", outcome=Outcome.HOLD, because=text, needs=needs)


def cap_reached(stage: Stage, elapsed_s: float) -> Finding:
    """ASK: time is up without an answer; a person decides, it never advances by itself."""
    text = f"The stage has lasted {duration(elapsed_s)}, its cap is {duration(stage.cap)}, and there is no answer: a person decides."
    return Finding(rule="cap", outcome=Outcome.ASK, because=text, needs="a person's decision")

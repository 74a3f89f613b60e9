"""The sentences of a verdict: every finding says what was concluded from which numbers, and what would change it."""

from __future__ import annotations

from collections.abc import Sequence

from promptship.canary.evidence import ArmCounts, Counts, Finding, Outcome
from promptship.canary.reading import Limits, Reading, Split
from promptship.numbers import at_least, decimal, duration, evidence, money, percent, plural
from promptship.release.plan import Canary, Metric, Stage


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


def in_unit(metric: str, mean: float) -> str:
    """A mean in its metric's unit: `$0.0042`, `312 tokens`, and 0..1 for scores."""
    if metric == Metric.COST_USD:
        return money(mean)
    return f"{decimal(mean)} tokens" if metric == Metric.TOKENS_OUT else decimal(mean)


def _measured(reading: Reading) -> str:
    if reading.means is not None and reading.counts is not None:
        return _averages(reading)
    slow = "" if reading.limits is None else f"answers of {_slow(reading.limits)}: "
    return f"{slow}{_arms(reading.counts)}{_repeats(reading)}"


def _slow(limits: Limits) -> str:
    which = "" if limits.quantile is None else f" (stable's p{100 * limits.quantile:g} as the canary began)"
    return f"{limits.slow_ms:,.0f} ms or more{which}"


def _averages(reading: Reading) -> str:
    means, counts, metric = reading.means, reading.counts, reading.guardrail.metric
    if means is None or counts is None:
        return _arms(None)
    cap = "" if means.cap is None else f", each answer counted with at most {in_unit(metric, means.cap)}"
    return (
        f"on average candidate {in_unit(metric, means.candidate)} (of {counts.candidate.requests:,}), "
        f"stable {in_unit(metric, means.stable)} (of {counts.stable.requests:,}) in this stage{cap}{_repeats(reading)}"
    )


def _repeats(reading: Reading) -> str:
    """What repeat users leave of the requests; nothing where it makes no difference in three digits."""
    if reading.counts is None or reading.design_effect < 1.005:  # noqa: PLR2004 - 1.00
        return ""
    weigh = reading.counts.candidate.requests / reading.design_effect
    units = "" if reading.units is None else f" of {plural(reading.units, 'unit')}"
    return (
        f"; as units ask repeatedly, the candidate's {plural(reading.counts.candidate.requests, 'request')}{units} weigh as "
        f"{weigh:,.0f} (design effect {decimal(reading.design_effect)})"
    )


def _margin(reading: Reading) -> str:
    if reading.limits is not None:
        return f"{reading.limits.margin_ms:,.0f} ms for stable's {reading.limits.slow_ms:,.0f} ms"
    if reading.means is not None and reading.margin is not None:
        return in_unit(reading.guardrail.metric, reading.margin)
    return "unknown" if reading.margin is None else f"{percent(reading.margin).rstrip('%')} percentage points"


def _stage_margin(reading: Reading) -> str:
    """Of a rollback: what the stage would have let pass as proven."""
    known = reading.margin is not None or reading.limits is not None
    return f"; the margin of this stage was {_margin(reading)}" if known and reading.guardrail.prove else ""


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
        rate_candidate=_rate(counts.candidate) if counts and not reading.means else None,
        rate_stable=_rate(counts.stable) if counts and not reading.means else None,
        mean_candidate=None if reading.means is None else reading.means.candidate,
        mean_stable=None if reading.means is None else reading.means.stable,
        design_effect=reading.design_effect if reading.design_effect > 1 else None,
        units=reading.units,
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
        f"the evidence of harm is {evidence(reading.e_harm)}, and {at_least(threshold)} is enough to roll back{_stage_margin(reading)}."
    )
    needs = "another candidate, or a larger `tolerance` if this much worse is acceptable"
    return _finding(reading, Outcome.ROLL_BACK, text, e=reading.e_harm, threshold=threshold, needs=needs)


def stopped(reading: Reading) -> Finding:
    """ROLL_BACK: the candidate has reached its hard stop. No statistic is asked, so no e-value is a reason."""
    stop_at = reading.guardrail.stop_at or 0
    text = (
        f"{reading.guardrail.metric} has reached its hard stop: {plural(reading.bad, 'bad candidate request')} in this release, "
        f"and {stop_at:,} {'rolls' if stop_at == 1 else 'roll'} back whatever stable does."
    )
    needs = "another candidate, or a higher `stop_at`"
    return _finding(reading, Outcome.ROLL_BACK, text, e=None, threshold=None, needs=needs)


def without_control(reading: Reading, threshold: float) -> Finding:
    """ADVANCE: at a share of 1.0 there is nothing to compare with, and what is known shows no harm."""
    text = (
        f"{reading.guardrail.metric} cannot be compared while the candidate serves everybody; from the stages before, "
        f"the evidence of harm is {evidence(reading.e_harm)} of the {at_least(threshold)} that roll back."
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
        f"the evidence of harm is {evidence(reading.e_harm)} of the {at_least(threshold)} that roll back."
    )
    return _finding(reading, Outcome.ADVANCE, text, e=reading.e_harm, threshold=threshold)


def proven(reading: Reading, threshold: float) -> Finding:
    """ADVANCE: non-inferiority is shown in this stage."""
    text = (
        f"{reading.guardrail.metric} is shown to stay within its margin of {_margin(reading)}: {_measured(reading)}{_beyond(reading)}; "
        f"the evidence of safety is {evidence(reading.e_safe)} of the {at_least(threshold)} it takes."
    )
    return _finding(reading, Outcome.ADVANCE, text, e=reading.e_safe, threshold=threshold)


def undecided(reading: Reading, harm: float, safe: float) -> Finding:
    """HOLD: neither harm nor safety is shown yet."""
    text = (
        f"{reading.guardrail.metric} is not yet shown to be safe or harmful: {_measured(reading)}{_beyond(reading)}; "
        f"the evidence of safety is {evidence(reading.e_safe)} of {at_least(safe)}, of harm {evidence(reading.e_harm)} of "
        f"{at_least(harm)}, the margin {_margin(reading)}."
    )
    needs = "more requests of both arms; how many cannot be estimated from these"
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


def mismatch(split: Split) -> Finding:
    """HOLD: the arms do not have the units that the split gave them, so their numbers cannot be compared."""
    one, zero = split.assigned.candidate.requests, split.assigned.stable.requests
    text = (
        f"The arms cannot be compared: the candidate has {one:,} of {plural(one + zero, 'unit')} of this stage "
        f"({percent(one / (one + zero))}), and {percent(split.share)} were assigned to it, so {_missing(split)}; the evidence that "
        f"this is no chance is {evidence(split.e_value)}, and {at_least(split.threshold)} makes the stage invalid. Nothing was judged."
    )
    needs = (
        "units that come back, such as a spool that arrives late; else find where they are lost: answers that fail before they are "
        "written down, an application that asks again elsewhere"
    )
    return Finding(
        rule="sample_ratio", outcome=Outcome.HOLD, because=text, needs=needs,
        counts=split.assigned, e_value=split.e_value, threshold=split.threshold,
    )  # fmt: skip


def _missing(split: Split) -> str:
    """How many units one arm lacks, taking the other's as complete."""
    one, zero = split.assigned.candidate.requests, split.assigned.stable.requests
    lacks = zero * split.share / (1 - split.share) - one
    arm, missing = ("candidate", lacks) if lacks > 0 else ("stable", -lacks * (1 - split.share) / split.share)
    return f"the {arm} lacks about {plural(_rounded(round(missing)), 'unit')}"


def units_seen(plan: Canary, reading: Reading, units: int, *, enough: bool) -> Finding:
    """ADVANCE once enough different candidate units are behind the proof, HOLD before; told only where units repeat themselves."""
    effect = f"on {reading.guardrail.metric} their requests repeat each other (design effect {decimal(reading.design_effect)})"
    if enough:
        text = f"The candidate has served {plural(units, 'unit')} in this stage, at least the {plan.units_min:,} required; {effect}."
        return Finding(rule="units_min", outcome=Outcome.ADVANCE, because=text)
    text = f"The candidate has served {units:,} of the {plural(plan.units_min, 'unit')} required in this stage; {effect}."
    needs = plural(plan.units_min - units, "more candidate unit")
    return Finding(rule="units_min", outcome=Outcome.HOLD, because=text, needs=needs)


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
        text = f"The candidate has served {plural(requests, 'request')} in this stage, at least the {plan.requests_min:,} required."
        return Finding(rule="requests_min", outcome=Outcome.ADVANCE, because=text)
    text = f"The candidate has served {requests:,} of the {plural(plan.requests_min, 'request')} required in this stage."
    needs = f"{plural(plan.requests_min - requests, 'more candidate request')}"
    return Finding(rule="requests_min", outcome=Outcome.HOLD, because=text, needs=needs)


def cap_reached(stage: Stage, elapsed_s: float, holding: Sequence[str]) -> Finding:
    """ASK: time is up without an answer; a person decides, it never advances by itself. `holding`: the rules that hold."""
    text = (
        f"The stage has lasted {duration(elapsed_s)}, its cap is {duration(stage.cap)}, and there is no answer because of "
        f"{', '.join(holding)}: a person decides."
    )
    return Finding(rule="cap", outcome=Outcome.ASK, because=text, needs="a person's decision")

"""What a whole run came to and what it took, in short sentences."""

from __future__ import annotations

from promptship.evals.reports.model import Report
from promptship.evals.reports.summary import Counted, Standing, Summary
from promptship.evals.suite_file import Severity
from promptship.numbers import NOT_MEASURED, count, duration, money, plural


def totals_sentences(report: Report, summary: Summary) -> list[str]:
    """What the whole run came to and what it took, as short sentences without a full stop."""
    all_ = summary.totals
    parts = [f"{count(all_.passed)} passed", f"{count(all_.failed)} failed"]
    if all_.unscored:
        parts.append(f"{count(all_.unscored)} without a score" + (f" ({count(all_.errors)} without an answer)" if all_.errors else ""))  # fmt: skip
    said = [f"{plural(all_.rows, 'trial')} of {plural(len(summary.cases), 'case')}: {', '.join(parts)}"]
    said += [sentence] if (sentence := steady_failures(report, summary)) else []
    spent = [f"cost {cost(all_)}", tokens(all_)]
    if all_.judge_tokens or all_.judge_cost_usd or all_.judge_unpriced:
        spent.append(judges(all_))
    said.append("; ".join(spent))
    reused = [f"{count(all_.cached)} answered from the cache"] if all_.cached else []
    reused += [f"{count(report.reused)} taken over from an earlier run"] if report.reused else []
    took = [f"took {duration(report.duration_s)}"] if report.duration_s is not None else []
    if took or reused:
        said.append("; ".join([*took, *reused]))
    return said


def steady_failures(report: Report, summary: Summary, most: int = 8) -> str:
    """Cases that fail with candidate and stable alike: that is no change, so no table of changes has them."""
    if report.baseline is None:
        return ""
    blocking = {case.id for case in report.cases if case.severity is Severity.BLOCKING}
    names = [
        case.case + (" (blocking)" if case.case in blocking else "")
        for case in summary.cases
        if case.standing is Standing.UNCHANGED and all(one.tally.rate == 0 for one in case.arms.values())
    ]
    if not names:
        return ""
    hidden = f" and {count(len(names) - most)} more" if len(names) > most else ""
    verb = "fails" if len(names) == 1 else "fail"
    return f"{plural(len(names), 'case')} {verb} with candidate and stable alike: {', '.join(names[:most])}{hidden}"


def cost(counted: Counted) -> str:
    """What the answers cost, and whether that is all of it."""
    if counted.cost_usd is None or not counted.unpriced:
        return money(counted.cost_usd)
    known = f"at least {money(counted.cost_usd)}" if counted.cost_usd else NOT_MEASURED
    return f"{known} ({plural(counted.unpriced, 'answer')} without a price)"


def tokens(counted: Counted) -> str:
    """`1,200 + 300 tokens`, in and out."""
    if counted.tokens_in is None and counted.tokens_out is None:
        return f"tokens {NOT_MEASURED}"
    return f"{count(counted.tokens_in)} + {count(counted.tokens_out)} tokens (in + out)"


def judges(counted: Counted) -> str:
    """What judging took."""
    price = f", {money(counted.judge_cost_usd)}" if counted.judge_cost_usd else ""
    if counted.judge_unpriced:
        known = (
            f"at least {money(counted.judge_cost_usd)}" if counted.judge_cost_usd else f"cost {NOT_MEASURED}"
        )
        price = f", {known} ({plural(counted.judge_unpriced, 'answer')} without a price)"
    return f"judges {count(counted.judge_tokens)} tokens{price}"


def standings(summary: Summary) -> str:
    """`3 regressed, 20 unchanged`."""
    counts = {kind: sum(case.standing is kind for case in summary.cases) for kind in Standing}
    return ", ".join(f"{count(number)} {kind.value}" for kind, number in counts.items() if number)

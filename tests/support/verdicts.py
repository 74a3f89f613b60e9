"""Canary verdicts as the watcher writes them."""

from promptship.canary.evidence import ArmCounts, Counts, Finding, Outcome, Verdict


def finding(
    rule: str = "feedback:escalated",
    outcome: Outcome = Outcome.HOLD,
    because: str = "12.0% of candidate against 4.1% of stable: not enough evidence yet",
    needs: str = "about 400 more candidate requests",
) -> Finding:
    return Finding(
        rule=rule, outcome=outcome, because=because, needs=needs,
        counts=ArmCounts(candidate=Counts(requests=612, events=73), stable=Counts(requests=11_204, events=459)),
        rate_candidate=73 / 612, rate_stable=459 / 11_204, e_value=7.31, threshold=40.0,
    )  # fmt: skip


def hold() -> Verdict:
    dwell = Finding(rule="dwell", outcome=Outcome.HOLD, because="3 min of 10 min have passed")
    return Verdict(stage=0, look=1, findings=(finding(), dwell))


def rolled_back() -> Verdict:
    worst = finding(
        outcome=Outcome.ROLL_BACK, because="11.9% of candidate against 4.1% of stable: harmful", needs=""
    ).model_copy(update={"e_value": 51_234.7})
    return Verdict(stage=1, look=7, findings=(finding(rule="error_rate"), worst))

"""Does a production prompt still pass what it passed, on the model that nobody changed? One look per re-test, for its whole life. Pure.

A version's first look is its baseline: how often each case passes. Every later look pairs each case with itself, then and now, and adds
to one test martingale (`promptship.evals.exchangeability`), so the chance that it ever cries wolf is alpha, not alpha per week. Only
becoming worse counts. A case that is edited begins anew, and so does a prompt with another version or another model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from promptship.evals.exchangeability import Evidence, begun, bet, rank_of_failure, tie_of
from promptship.evals.rows import Row
from promptship.evals.score import Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What is known of one version of a prompt on one model."""

    version: str
    model: str
    looks: int = 0
    bags: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By case and its content: trials that passed and that failed, in all looks."""
    evidence: Evidence = field(default_factory=begun)
    passed: int = 0
    trials: int = 0
    """Of the last look: trials that passed, and those with a score."""
    passed_before: int = 0
    trials_before: int = 0
    """Of all looks before it."""

    def data(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Of `data`."""
        evidence = Evidence(tuple(data["evidence"]["logs"]), data["evidence"]["peak"])
        bags = {case: (int(bag[0]), int(bag[1])) for case, bag in data["bags"].items()}
        return cls(**{**data, "evidence": evidence, "bags": bags})


def after_look(before: Drift, rows: Iterable[tuple[str, Row]], *, salt: str = "") -> Drift:
    """With one more look: rows, each with the name of its case's content. Rows without a score say nothing.

    A look without any score is no look.
    """
    bags = dict(before.bags)
    evidence = before.evidence
    passed = trials = 0
    ordered = sorted(rows, key=lambda one: (one[1].trial, one[0]))
    for case, row in ordered:
        if not isinstance(row.score, Scored):
            continue
        fails = not row.score.passed
        bag = bags.get(case, (0, 0))
        if before.looks and case in before.bags:
            tie = tie_of(salt, before.version, before.model, before.looks, case, row.trial)
            evidence = bet(evidence, rank_of_failure(*bag, fails=fails, tie=tie))
        bags[case] = (bag[0] + (not fails), bag[1] + fails)
        passed, trials = passed + (not fails), trials + 1
    if not trials:
        return before
    return replace(
        before, looks=before.looks + 1, bags=bags, evidence=evidence, passed=passed, trials=trials,
        passed_before=before.passed_before + before.passed, trials_before=before.trials_before + before.trials,
    )  # fmt: skip

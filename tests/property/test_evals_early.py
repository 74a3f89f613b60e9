"""A run is stopped early only when every way it could go on ends with the same outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.evals.compare import compare
from promptship.evals.early import Curtailment
from promptship.evals.rows import CaseFacts, Row, SuiteRun
from promptship.evals.score import Scored, Unscored
from promptship.evals.suite_file import Severity
from promptship.evals.verdict import Rules, SuiteOutcome

STOPPING = {SuiteOutcome.REGRESSED, SuiteOutcome.BELOW_FLOOR}


def row(case: str, arm: str, trial: int, passed: bool) -> Row:
    score = Scored(passed, 1.0 if passed else 0.0)
    return Row(case=case, arm=arm, trial=trial, digest="", score=score)


def rules(margin: float = 0.1, floor: float = 0.0) -> Rules:
    return Rules(margin=margin, alpha=0.05, unscored_max=0.0, pass_rate_min=floor)


def outcome(cases: Sequence[CaseFacts], rows: Sequence[Row], by: Rules) -> SuiteOutcome:
    run = SuiteRun(suite="s", arms=("candidate", "stable"), cases=tuple(cases), rows=tuple(rows))
    return compare(
        run, margin=by.margin, alpha=by.alpha, unscored_max=by.unscored_max, pass_rate_min=by.pass_rate_min
    ).outcome


def completions(rows: Sequence[Row], missing: Sequence[tuple[str, str, int]]) -> Iterator[list[Row]]:
    for results in product((False, True), repeat=len(missing)):
        yield [*rows, *(row(*key, passed) for key, passed in zip(missing, results, strict=True))]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_called_certain_holds_for_every_completion(data: st.DataObject) -> None:
    count, trials = data.draw(st.integers(2, 9)), data.draw(st.integers(1, 2))
    needed = data.draw(st.sampled_from([None, 1]))
    weights = data.draw(st.sampled_from([[1.0], [1.0, 3.0]]))
    cases = [
        CaseFacts(
            id=f"c{n}", passes_min=needed, weight=weights[n % len(weights)],
            topic=data.draw(st.sampled_from(["", "", "t"])),
            severity=data.draw(st.sampled_from([Severity.WARNING] * 4 + [Severity.BLOCKING])),
        )
        for n in range(count)
    ]  # fmt: skip
    by = rules(data.draw(st.sampled_from([0.05, 0.3, 0.9])), data.draw(st.sampled_from([0.0, 0.5])))
    keys = [
        (case.id, arm, trial) for case in cases for arm in ("candidate", "stable") for trial in range(trials)
    ]
    open_count = data.draw(st.integers(0, min(7, len(keys))))
    missing = data.draw(st.permutations(keys))[:open_count]
    bias = data.draw(st.sampled_from([0.05, 0.5, 0.95]))
    rows = [
        row(*key, data.draw(st.floats(0, 1)) < (bias if key[1] == "candidate" else 1 - bias / 2))
        for key in keys
        if key not in missing
    ]
    follow = Curtailment(
        cases, dict.fromkeys((case.id for case in cases), trials), ("candidate", "stable"), by
    )
    for one in rows:
        follow.add(one)
    certain = follow.certain()
    if certain is None:
        return
    for complete in completions(rows, missing):
        found = outcome(cases, complete, by)
        assert found is certain or {found, certain} <= STOPPING


@settings(max_examples=40, deadline=None)
@given(
    st.randoms(use_true_random=False),
    st.integers(2, 60),
    st.integers(1, 3),
    st.sampled_from([0.4, 0.85, 0.95]),
)
def test_a_run_that_is_stopped_decides_as_it_would_have_at_its_end(
    chance: Random, count: int, trials: int, passing: float
) -> None:
    cases = [
        CaseFacts(
            id=f"c{n}", weight=chance.choice([1.0, 1.0, 4.0]), topic=chance.choice(["", "", "", "t"]),
            passes_min=chance.choice([None, None, trials]),
            severity=chance.choice([Severity.WARNING] * 15 + [Severity.BLOCKING]),
        )
        for n in range(count)
    ]  # fmt: skip
    by = rules(chance.choice([0.02, 0.1, 0.4]), chance.choice([0.0, 0.0, 0.8]))
    rate = {"stable": chance.choice([passing, 0.95]), "candidate": passing}
    keys = [(case.id, arm, trial) for trial in range(trials) for case in cases for arm in rate]
    chance.shuffle(keys)
    rows = [row(*key, chance.random() < rate[key[1]]) for key in keys]
    follow = Curtailment(
        cases, dict.fromkeys((case.id for case in cases), trials), ("candidate", "stable"), by
    )
    for number, one in enumerate(rows, 1):
        follow.add(one)
        if number % 10 == 0 and (certain := follow.certain()) is not None:
            found = outcome(cases, rows, by)
            assert found is certain or {found, certain} <= STOPPING
            return


def test_a_clear_regression_is_certain_long_before_the_end() -> None:
    cases = [CaseFacts(id=f"c{n}") for n in range(40)]
    follow = Curtailment(cases, dict.fromkeys((c.id for c in cases), 4), ("candidate", "stable"), rules(0.05))
    asked = 0
    for trial, case in product(range(4), cases):
        follow.add(row(case.id, "candidate", trial, False))
        follow.add(row(case.id, "stable", trial, True))
        asked += 2
        if follow.certain() is SuiteOutcome.REGRESSED:
            break
    assert asked < 0.8 * 320


def test_a_lost_blocking_case_is_certain_at_once() -> None:
    cases = [CaseFacts(id="a", severity=Severity.BLOCKING), *(CaseFacts(id=f"c{n}") for n in range(9))]
    follow = Curtailment(cases, dict.fromkeys((c.id for c in cases), 2), ("candidate", "stable"), rules())
    follow.add(row("a", "stable", 0, True))
    follow.add(row("a", "candidate", 0, False))
    assert follow.certain() is None
    follow.add(row("a", "candidate", 1, False))
    assert follow.certain() is SuiteOutcome.REGRESSED


def test_a_missing_score_keeps_everything_open() -> None:
    cases = [CaseFacts(id="a", severity=Severity.BLOCKING)]
    follow = Curtailment(cases, {"a": 1}, ("candidate", "stable"), rules())
    follow.add(row("a", "stable", 0, True))
    follow.add(row("a", "candidate", 0, False))
    follow.add(Row(case="b", arm="candidate", trial=0, digest="", score=Unscored("no answer")))
    assert follow.certain() is None


def test_a_floor_out_of_reach_is_certain() -> None:
    cases = [CaseFacts(id=f"c{n}") for n in range(4)]
    follow = Curtailment(cases, dict.fromkeys((c.id for c in cases), 1), ("candidate",), rules(floor=0.9))
    follow.add(row("c0", "candidate", 0, False))
    assert follow.certain() is SuiteOutcome.BELOW_FLOOR
    reachable = Curtailment(cases, dict.fromkeys((c.id for c in cases), 1), ("candidate",), rules(floor=0.75))
    reachable.add(row("c0", "candidate", 0, False))
    assert reachable.certain() is None, "the other three may all pass"


@pytest.mark.parametrize("arm", ["candidate", "stable"])
def test_nothing_is_certain_before_anything_is_known(arm: str) -> None:
    cases = [CaseFacts(id=f"c{n}") for n in range(4)]
    follow = Curtailment(cases, dict.fromkeys((c.id for c in cases), 1), (arm,), rules())
    assert follow.certain() is None

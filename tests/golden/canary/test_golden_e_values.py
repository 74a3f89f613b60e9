"""Pinned e-values: a release that is under way keeps its evidence across versions of promptship, so these must not change."""

import json
import os
from pathlib import Path

import pytest

from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Histogram,
    LatencyCounts,
    StageCounts,
    Verdict,
)
from promptship.canary.state import State
from promptship.release.plan import Canary, Guardrail, Stage

FILE = Path(__file__).with_name("e_values.json")
PLAN = Canary(
    stages=(Stage(share=0.01, margin=1.0), Stage(share=0.25, margin=0.15)),
    guardrails=(
        Guardrail(metric="error_rate"),
        Guardrail(metric="feedback:escalated", tolerance=0.1),
        Guardrail(metric="latency_p95"),
    ),
)
HISTORY = Baseline(
    rates={
        "error_rate": Counts(requests=4000, events=12),
        "feedback:escalated": Counts(requests=800, events=72),
    },
    latency=Histogram(buckets={150: 700, 160: 200, 166: 70, 174: 30}),
)
# stage, candidate (requests, errors, escalated, slow), stable (the same); cumulative within the stage.
LOOKS = (
    (0, (10, 0, 1, 1), (990, 3, 88, 60)),
    (0, (32, 0, 4, 2), (3100, 10, 280, 170)),
    (0, (61, 1, 6, 3), (5900, 17, 530, 330)),
    (1, (50, 0, 5, 3), (160, 0, 15, 8)),
    (1, (400, 4, 55, 30), (1210, 3, 108, 66)),
)


def stage_counts(candidate: tuple[int, ...], stable: tuple[int, ...]) -> StageCounts:
    def arms(column: int) -> ArmCounts:
        one, zero = (Counts(requests=arm[0], events=arm[column]) for arm in (candidate, stable))
        return ArmCounts(candidate=one, stable=zero)

    def histogram(arm: tuple[int, ...]) -> Histogram:
        return Histogram(buckets={150: arm[0] - arm[3], 170: arm[3]})

    return StageCounts(
        rates={"error_rate": arms(1), "feedback:escalated": arms(2)},
        latency=LatencyCounts(candidate=histogram(candidate), stable=histogram(stable)),
    )


def measure() -> list[dict[str, object]]:
    state = State.fresh(PLAN, HISTORY)
    table: list[dict[str, object]] = []
    for stage, candidate, stable in LOOKS:
        state = state.at_stage(stage).take(PLAN, stage_counts(candidate, stable))
        row: dict[str, object] = {"stage": stage, "candidate": candidate, "stable": stable}
        row |= {
            watch.metric: {"log_harm": watch.log_harm, "log_safe": watch.log_safe} for watch in state.watches
        }
        table.append(row)
    return table


def test_e_values_are_pinned() -> None:
    table = json.loads(json.dumps(measure()))
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        lines = ",\n".join(json.dumps(row) for row in table)
        FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    pinned = json.loads(FILE.read_text(encoding="utf-8"))
    assert len(table) == len(pinned)
    for row, expected in zip(table, pinned, strict=True):
        assert row.keys() == expected.keys()
        for metric in (guardrail.metric for guardrail in PLAN.guardrails):
            assert row[metric] == pytest.approx(expected[metric], rel=1e-9, abs=1e-9)


def test_a_release_under_way_goes_on_with_the_state_that_an_earlier_version_wrote() -> None:
    """The file was written before means, units and the sample ratio existed, after four of the looks above."""
    old = json.loads(FILE.with_name("state_of_0_1.json").read_text(encoding="utf-8"))
    assert Canary.model_validate(old["plan"]) == PLAN
    assert Verdict.model_validate(old["verdict"]).look == 4
    stage, candidate, stable = LOOKS[4]
    state = State.model_validate(old["state"]).at_stage(stage).take(PLAN, stage_counts(candidate, stable))
    pinned = json.loads(FILE.read_text(encoding="utf-8"))[4]
    for watch in state.watches:
        evidence = {"log_harm": watch.log_harm, "log_safe": watch.log_safe}
        assert evidence == pytest.approx(pinned[watch.metric], rel=1e-9, abs=1e-9)
        assert watch.effect == 1.0

"""Each plan rule fires exactly when its condition holds."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.release.lint import lint_plan
from promptship.release.plan import Plan

SECONDS = st.sampled_from([0.0, 60.0, 600.0, 3600.0])
STAGES = st.lists(
    st.fixed_dictionaries({"share": st.sampled_from([0.1, 0.2, 0.5, 1.0]), "dwell": SECONDS, "cap": SECONDS}),
    min_size=1,
    max_size=4,
)
GUARDRAILS = st.lists(
    st.fixed_dictionaries(
        {
            "metric": st.sampled_from(
                [
                    "error_rate",
                    "refusal_rate",
                    "latency_p95",
                    "feedback:a",
                    "feedback:b",
                    "check:a",
                    "score:b",
                ]
            ),
            "prove": st.booleans(),
            "matures_after": SECONDS,
        }
    ),
    min_size=1,
    max_size=3,
)
RULES = st.dictionaries(
    st.sampled_from(["plan", "region"]), st.lists(st.sampled_from(["x", "y"]), min_size=1), max_size=2
)
SUITES = st.sets(st.sampled_from(["p", "q", "r"]))


@settings(max_examples=200, deadline=None)
@given(
    stages=STAGES,
    guardrails=GUARDRAILS,
    lease=st.integers(1, 60),
    every=st.sampled_from([1.0, 5.0, 15.0]),
    suites=SUITES,
    exist=SUITES,
    kinds=st.sets(st.sampled_from(["a", "b"])),
    checks=st.sets(st.sampled_from(["a", "b"])),
    required=st.integers(0, 3),
    approvers=st.integers(0, 3),
    traffic=st.none() | st.sampled_from([0.001, 0.1, 10.0]),
    risk=st.sampled_from(["low", "medium", "high"]),
    policy=st.fixed_dictionaries({"allowed": st.booleans(), "segments": RULES, "exclude": RULES}),
)
def test_a_plan_has_exactly_the_findings_whose_conditions_hold(
    stages: list[dict[str, Any]],
    guardrails: list[dict[str, Any]],
    lease: int,
    every: float,
    suites: set[str],
    exist: set[str],
    kinds: set[str],
    checks: set[str],
    required: int,
    approvers: int,
    traffic: float | None,
    risk: str,
    policy: dict[str, Any],
) -> None:
    plan = Plan.model_validate(
        {
            "regression": {"suites": sorted(suites)},
            "canary": {"stages": stages, "guardrails": guardrails, "lease": lease},
            "approval": {"required": required},
            "experiment": policy,
            "online": {"checks": [{"name": name, "assert": {"type": "is-json"}} for name in sorted(checks)]},
        }
    )
    found = lint_plan(
        plan, path="f", line=1, prompt="p", suites=exist, feedback_kinds=kinds, approvers=approvers,
        watcher_every_s=every, traffic_per_s=traffic, risk=risk,
    )  # fmt: skip
    metrics = [g["metric"] for g in guardrails]
    pairs = list(pairwise(stages))
    compared = [s for s in stages if s["share"] < 1]
    late = max([g["matures_after"] for g in guardrails if g["prove"]], default=0)
    # Whatever is asked of people first or last.
    needed = max(required, 2 * (risk == "high"), 1 * (not policy["allowed"]))
    conditions = {
        "PS602": not (suites or {"p"}) <= exist,
        "PS603": any(s["dwell"] > s["cap"] for s in stages),
        "PS604": any(b["share"] <= a["share"] and a["share"] != 1 for a, b in pairs),
        "PS605": any(m.startswith("feedback:") and m[9:] not in kinds for m in metrics)
        or any(m.startswith(("check:", "score:")) and m[6:] not in checks for m in metrics),
        "PS606": all(not g["prove"] for g in guardrails),
        "PS607": len(set(metrics)) < len(metrics),
        "PS608": lease < 3 * every,
        "PS609": any(g["matures_after"] >= s["cap"] for g in guardrails for s in compared),
        "PS610": 0 < approvers < needed,
        "PS611": approvers == 0 < needed,
        "PS612": any(a["share"] == 1 for a, _ in pairs),
        "PS613": traffic is not None
        and any(s["share"] * traffic * max(s["cap"] - late, 0) < 50 for s in compared),
        "PS614": any(
            set(wanted) <= set(policy["exclude"].get(name, ())) for name, wanted in policy["segments"].items()
        ),
    }
    assert {finding.rule for finding in found} == {rule for rule, holds in conditions.items() if holds}

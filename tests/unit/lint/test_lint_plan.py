from collections.abc import Callable
from typing import Any

import pytest

from promptship.prompts.lint import LintFinding
from promptship.release.lint import lint_plan
from promptship.release.plan import Plan

STAGE = {"share": 0.1, "dwell": "1m", "cap": "1h"}


def lint(plan: dict[str, Any] | None = None, **around: Any) -> tuple[LintFinding, ...]:
    given: dict[str, Any] = {
        "path": "promptship.toml", "line": 3, "prompt": "p", "suites": {"p"}, "feedback_kinds": {"escalated"},
        "approvers": 1, "watcher_every_s": 5.0,
    }  # fmt: skip
    return lint_plan(Plan.model_validate(plan or {}), **(given | around))


def stages(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"canary": {"stages": [STAGE | change for change in changes]}}


def guardrails(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"canary": {"guardrails": [{"metric": "error_rate"} | change for change in changes]}}


def test_the_default_plan_can_finish() -> None:
    assert lint() == ()


CASES: dict[str, Callable[[], tuple[LintFinding, ...]]] = {
    "PS602": lambda: lint({"regression": {"suites": ["q"]}}),
    "PS602 by the prompt's name": lambda: lint(suites={"other"}),
    "PS603": lambda: lint(stages({"dwell": "61m"})),
    "PS604": lambda: lint(stages({"share": 0.2}, {"share": 0.2})),
    "PS605": lambda: lint(guardrails({}, {"metric": "feedback:bored"})),
    "PS605 without a check": lambda: lint(guardrails({}, {"metric": "score:tone"})),
    "PS606": lambda: lint(guardrails({"prove": False})),
    "PS607": lambda: lint(guardrails({}, {})),
    "PS608": lambda: lint({"canary": {"lease": 14.9}}),
    "PS609": lambda: lint(
        stages({}) | {"canary": stages({})["canary"] | guardrails({"matures_after": "1h"})["canary"]}
    ),
    "PS610": lambda: lint({"approval": {"required": 2}}),
    "PS611": lambda: lint(approvers=0),
    "PS612": lambda: lint(stages({"share": 1}, {"share": 1})),
    "PS610 of a high risk": lambda: lint(risk="high", approvers=1),
    "PS611 of a high risk": lambda: lint({"approval": {"required": 0}}, risk="high", approvers=0),
    "PS611 without an experiment": lambda: lint(
        {"approval": {"required": 0}, "experiment": {"allowed": False}}, approvers=0
    ),
    "PS613": lambda: lint(stages({}), traffic_per_s=0.13),
    "PS614": lambda: lint(
        {"experiment": {"segments": {"plan": "pro"}, "exclude": {"plan": ["Pro", "free"]}}}
    ),
}
FINE = [
    lambda: lint({"regression": {"suites": ["q"]}}, suites={"q"}),
    lambda: lint(stages({"dwell": "1h"})),
    lambda: lint(stages({"share": 0.2}, {"share": 1})),
    lambda: lint(guardrails({"metric": "feedback:escalated"})),
    lambda: lint(guardrails({"prove": False}, {"metric": "refusal_rate"})),
    lambda: lint({"canary": {"lease": 15}}),
    lambda: lint(guardrails({"matures_after": "3h59m"})),
    lambda: lint({"approval": {"required": 0}}, approvers=0),
    lambda: lint({"approval": {"required": 2}}, approvers=2),
    lambda: lint(stages({}), traffic_per_s=0.14),
    lambda: lint(risk="high", approvers=2),
    lambda: lint(risk="medium", approvers=1),
    lambda: lint({"experiment": {"segments": {"plan": ["pro", "team"]}, "exclude": {"plan": "pro"}}}),
    lambda: lint({"experiment": {"segments": {"plan": True}, "exclude": {"plan": 1}}}),
]


@pytest.mark.parametrize("name", CASES)
def test_a_plan_that_cannot_finish_is_one_finding_at_the_given_place(name: str) -> None:
    (found,) = CASES[name]()
    assert (found.rule, found.path, found.line) == (name[:5], "promptship.toml", 3)
    assert found.severity == ("warning" if found.rule == "PS613" else "error")


@pytest.mark.parametrize("fine", FINE)
def test_a_plan_on_the_right_side_of_a_limit_is_fine(fine: Callable[[], tuple[LintFinding, ...]]) -> None:
    assert fine() == ()


def test_near_names_are_suggested_and_numbers_are_shown() -> None:
    (suite,) = lint({"regression": {"suites": ["suport"]}}, suites={"support"})
    assert suite.advice == "did you mean `support`?"
    (kind,) = lint(guardrails({"metric": "feedback:escalatd"}))
    assert "`feedback:escalated`" in kind.advice
    (lease,) = lint({"canary": {"lease": 10}}, watcher_every_s=40)
    assert "10s" in lease.message
    assert "2m" in lease.advice

"""How risky a release is, and what has to be said yes to before it gets any traffic."""

from __future__ import annotations

from typing import Final

from promptship.errors import ConfigError, NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import find_prompt
from promptship.prompts.load import load
from promptship.prompts.model import Prompt, RiskClass
from promptship.release.history import Release
from promptship.release.lint import HIGH_RISK_APPROVERS
from promptship.routing.table import Route

_ORDER: Final = tuple(RiskClass)
BEFORE_TRAFFIC: Final = frozenset({"first", "unproven", "traffic"})
"""Questions that are asked before the candidate has served anybody."""


def effective_risk(app: App, prompt: Prompt, route: Route | None) -> RiskClass:
    """The higher of what the prompt's file says at this commit and at the stable version's: no push lowers the class it is judged by."""
    if route is None or not route.commit:
        return prompt.risk
    try:
        path = find_prompt(app, route.commit, prompt.name)
        before = load(path, app.repository.tree(route.commit).read(path)).prompt.risk
    except (ConfigError, NotFound):
        return prompt.risk  # stable's commit is gone, or its file can no longer be read
    return max(prompt.risk, before, key=_ORDER.index)


def approvers_needed(release: Release, question: str) -> int:
    """How many different approvers a question needs."""
    required = release.plan.approval.required if release.plan is not None else 1
    if question in BEFORE_TRAFFIC and release.risk == RiskClass.HIGH:
        return max(required, HIGH_RISK_APPROVERS)
    return max(required, 1)


def question_before_traffic(release: Release, route: Route | None) -> tuple[str, str] | None:
    """(question, why) that people have to answer before the candidate's first request; None: there is none."""
    if route is None or route.stable is None:
        return "first", "first version of this prompt: there is no stable version to compare it with"
    if release.plan is not None and not release.plan.experiment.allowed:
        return "unproven", "the plan allows no experiment with this prompt: there is no evidence from traffic"
    if release.risk == RiskClass.HIGH:
        return "traffic", "a prompt of high risk: no traffic before people have agreed"
    return None

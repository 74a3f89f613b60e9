"""The policy of an experiment in words: what an approver and a timeline show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptship.release.policy import Experiment


def policy_words(policy: Experiment) -> str:
    """One line; empty for a policy that keeps nobody out and tells nothing."""
    if not policy.allowed:
        return "no experiment is allowed"
    said = [
        "consent required" if policy.consent == "required" else "",
        f"without {_rules(policy.exclude, ' or ')}" if policy.exclude else "",
        "who does not say so is in" if policy.exclude and not policy.exclude_unknown else "",
        f"only {_rules(policy.segments, ' and ')}" if policy.segments else "",
        f"discloses: {policy.disclosure}" if policy.disclosure else "",
    ]
    return "; ".join(one for one in said if one)


def _rules(rules: Mapping[str, Sequence[Any]], between: str) -> str:
    return between.join(f"{name} = {', '.join(map(_value, values))}" for name, values in rules.items())


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

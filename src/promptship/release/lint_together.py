"""Lint of groups (PS615, PS616): prompts that go together must exist, and their plans must let them stand at the same point."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.release.plan import Plan
from promptship.release.together import components, unequal

UNKNOWN_TOGETHER: Final = Rule(
    id="PS615",
    name="unknown-together",
    severity="error",
    summary="The plan's `together` names a prompt that does not exist.",
)
UNEQUAL_TOGETHER: Final = Rule(
    id="PS616",
    name="unequal-together",
    severity="error",
    summary="Plans of prompts that go together differ where a unit would get one candidate and not the other.",
)
TOGETHER_RULES: Final = {rule.id: rule for rule in (UNKNOWN_TOGETHER, UNEQUAL_TOGETHER)}


def lint_together(
    name: str, plans: Mapping[str, Plan], known: Collection[str], *, path: str, line: int
) -> Iterator[LintFinding]:
    """What is wrong with the group of prompt `name`.

    Args:
        name: the prompt that is linted.
        plans: the plans of all prompts of the tree that can be read, by name.
        known: names of all prompts of the tree.
        path: file the findings are reported in, and
        line: where in it.
    """
    plan = plans[name]
    for other in sorted(set(plan.together) - set(known)):
        near = get_close_matches(other, known, n=1, cutoff=0.6)
        advice = f"did you mean `{near[0]}`?" if near else f"prompts here: {', '.join(sorted(known)[:10])}"
        yield UNKNOWN_TOGETHER.found(
            path, line, f"`{name}` goes together with `{other}`, which does not exist", advice
        )
    group = components({one: there.together for one, there in plans.items()}).get(name, frozenset())
    for other in sorted((group - {name}) & plans.keys()):
        differing = unequal(plan, plans[other])
        if differing:
            message = f"`{name}` and `{other}` go together and differ in {', '.join(differing)}"
            yield UNEQUAL_TOGETHER.found(
                path, line, message, "give both the same, best by naming the same plan"
            )

"""Assertions of a suite that will have no score with these prompts: said before the first answer is paid. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from promptship.errors import Problem
from promptship.evals.assertions.attacked_leaks import LEAK_WORDS_MIN, instructions
from promptship.evals.assertions.catalogue import COMPARED
from promptship.evals.cases import Suite
from promptship.evals.rows import Arm
from promptship.prompts.model import Prompt

_CALLS: Final = frozenset({
    "is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call"
})  # fmt: skip
_LIKELIHOOD: Final = frozenset({"perplexity", "perplexity-score"})
_STABLE: Final = "stable"


def without_score(
    suite: Suite, arms: Mapping[Arm, Prompt], *, is_priced: Callable[[str], bool] | None = None
) -> tuple[Problem, ...]:
    """Warnings, each type and reason once, at the first case that has it.

    Args:
        suite: as it was loaded; what no prompt could give is refused there (`promptship.evals.suite_needs`).
        arms: prompts that will be asked.
        is_priced: whether a model's price is known; None: nobody knows, so nothing is said about `cost`.
    """
    first: dict[str, int] = {}
    for number, case in enumerate(suite.cases):
        for one in (one for turn in case.turns for one in turn.asserts):
            first.setdefault(one.type.removeprefix("not-"), number)
    return tuple(
        Problem(
            suite.path, f"cases[{number}].assert", type_, f"will have no score: {because}",
            line=suite.cases[number].line,
        )
        for type_, number in first.items() for because in _because(type_, arms, is_priced)
    )  # fmt: skip


def _because(
    type_: str, arms: Mapping[Arm, Prompt], is_priced: Callable[[str], bool] | None
) -> Iterator[str]:
    if type_ in COMPARED and len(arms) < 2:  # noqa: PLR2004 - a comparison needs two
        yield "there is nothing to compare the only version with"
    elif type_ == "pairwise" and _STABLE not in arms:
        yield "there is no stable version to compare with"
    for arm, prompt in sorted(arms.items()):
        if type_ in _CALLS and not prompt.tools:
            yield f"the prompt of {arm} gives the model no functions"
        if type_ in _LIKELIHOOD and not prompt.parameters.get("logprobs"):
            yield f"the prompt of {arm} does not ask for `logprobs`"
        if type_ == "cost" and is_priced is not None and prompt.model and not is_priced(prompt.model):
            yield f"the price of {prompt.model} is not known, unless its provider names it"
        if type_ == "redteam:system-prompt" and not _has_instructions(prompt):
            yield f"the prompt of {arm} has no instructions of {LEAK_WORDS_MIN} words that could leak"


def _has_instructions(prompt: Prompt) -> bool:
    return bool(instructions([message.model_dump() for message in prompt.messages]))

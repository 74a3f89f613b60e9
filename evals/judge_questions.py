"""How often an assertion asks its judge about one answer: for estimates before a run."""

from __future__ import annotations

from typing import Final

from promptship.evals.assertions import NEEDS_JUDGE
from promptship.evals.assertions.catalogue import REDTEAM
from promptship.evals.assertions.judged_asking import ASKS_MAX
from promptship.evals.assertions.judged_compared import PAIRWISE, SELECT_BEST
from promptship.evals.assertions.judged_vectors import QUESTIONS

ASKING: Final = NEEDS_JUDGE | {"redteam:agency"}
"""Types that may ask a judge; those of `IF_THERE` do without one."""
IF_THERE: Final = ASKING & REDTEAM
_ORDERS: Final = 2
"""A comparison is made in both orders."""


def questions(type_: str, *, criteria: int = 1, replies: int = 1) -> tuple[int, int]:
    """Calls as a rule, and at most: a judge whose reply cannot be read is asked once more.

    Of a comparison: per contest. `type_` without `not-`; `criteria` of a g-eval; `replies`: answers of the conversation so far.
    Steps of a g-eval and judgements of equal answers are counted each time; with a cache they are asked once.
    """
    if type_ not in ASKING:
        return 0, 0
    usual = 1
    if type_ == "g-eval":
        usual = 2 * criteria  # steps, then points
    elif type_ == "context-faithfulness":
        usual = 2  # claims, then verdicts
    elif type_ == "conversation-relevance":
        usual = replies
    elif type_ in {SELECT_BEST, PAIRWISE}:
        usual = _ORDERS
    most = QUESTIONS if type_ == "answer-relevance" else usual
    return usual, most * ASKS_MAX

"""What a run came to, decided in one place: the word its reports begin with, and the exit status of the command.

"Not measured" is neither a pass nor a failure, so there are three answers. A run is a failure when it would be one even if
everything without a score had passed, and a pass when it would be one even if all of that had failed; in between there is no
verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from promptship.errors import ConfigError, PromptshipError, Unavailable
from promptship.evals.verdict import SuiteOutcome, SuiteVerdict

_ROUNDING: Final = 1e-9
_NOTHING_DOWN: Final[Mapping[str, PromptshipError]] = {}


class Word(StrEnum):
    """What is said first; the value is how it is written."""

    PASSED = "PASSED"
    GOES_ON = "GOES ON"  # neither a drop nor its absence is shown: the canary decides
    REJECTED = "REJECTED"  # a suite's verdict stops the release
    FAILED = "FAILED"  # of a run without stable version and plan: too little passes
    NO_VERDICT = "NO VERDICT"  # too much has no score, or there was nothing to judge by

    @property
    def exit_code(self) -> int:
        """0: yes; 1: no; 3: nobody can say."""
        if self is Word.NO_VERDICT:
            return Unavailable.exit_code
        return 1 if self in {Word.REJECTED, Word.FAILED} else 0

    @property
    def tone(self) -> str:
        """`go`, `wait` or `stop`: the colour it is written in."""
        if self is Word.PASSED:
            return "go"
        return "stop" if self.exit_code == 1 else "wait"


WORDS: Final[Mapping[SuiteOutcome, Word]] = {
    SuiteOutcome.PASSED: Word.PASSED,
    SuiteOutcome.TOO_SMALL: Word.GOES_ON,
    SuiteOutcome.REGRESSED: Word.REJECTED,
    SuiteOutcome.BELOW_FLOOR: Word.REJECTED,
    SuiteOutcome.UNSCORED: Word.NO_VERDICT,
}
"""Of one suite's verdict, if there was something to judge by."""
NOTHING_TO_JUDGE_BY: Final = "nothing to compare with, and no pass_rate_min to reach"
_WORST_FIRST: Final = (Word.NO_VERDICT, Word.REJECTED, Word.FAILED, Word.GOES_ON, Word.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a whole run came to."""

    word: Word
    exit_code: int
    """Of the command: that of the word; 2 when a provider refused every request as wrong."""


def concluded(
    verdicts: Sequence[SuiteVerdict] = (),
    *,
    passed: int = 0,
    failed: int = 0,
    unscored: int = 0,
    pass_rate_min: float = 1.0,
    down: Mapping[str, PromptshipError] = _NOTHING_DOWN,
) -> Conclusion:
    """The worst of the verdicts; without any (a matrix, a promptfoo run) what the trials say.

    Args:
        verdicts: of the suites, empty when nothing was compared.
        passed: trials that passed.
        failed: trials that did not.
        unscored: trials without a score.
        pass_rate_min: share of all trials that must pass, 0..1; looked at only without verdicts.
        down: endpoints without which there is no verdict (`promptship.evals.suite_run.lost`), and why.
    """
    if down:
        wrong = any(isinstance(error, ConfigError) for error in down.values())
        return Conclusion(
            word=Word.NO_VERDICT, exit_code=ConfigError.exit_code if wrong else Unavailable.exit_code
        )
    if verdicts:
        words = {word_of(verdict) for verdict in verdicts}
        word = next(word for word in _WORST_FIRST if word in words)
    else:
        word = of_trials(passed, failed, unscored, pass_rate_min)
    return Conclusion(word=word, exit_code=word.exit_code)


def word_of(verdict: SuiteVerdict) -> Word:
    """What is said first of one suite's verdict.

    A release lets a first version go on to a person when no absolute rule is broken. Where there is none, that is no statement
    about the suite: unless every trial passed, there is no verdict.
    """
    unjudged = verdict.stable is None and not verdict.rules.pass_rate_min
    if (
        verdict.outcome is SuiteOutcome.PASSED
        and unjudged
        and (verdict.candidate.pass_rate or 0.0) < 1 - _ROUNDING
    ):
        return Word.NO_VERDICT
    return WORDS[verdict.outcome]


def because_of(verdict: SuiteVerdict) -> str:
    """The whole sentence to that word."""
    if word_of(verdict) is WORDS[verdict.outcome]:
        return verdict.because
    return f"{NOTHING_TO_JUDGE_BY}: {verdict.because}; set pass_rate_min in the plan's regression block"


def of_trials(passed: int, failed: int, unscored: int, pass_rate_min: float = 1.0) -> Word:
    """What trials say by themselves. A run without a single score says nothing, whatever it needs."""
    if not passed + failed:
        return Word.NO_VERDICT
    needed = pass_rate_min * (passed + failed + unscored) - _ROUNDING
    if passed >= needed:
        return Word.PASSED
    return Word.FAILED if passed + unscored < needed else Word.NO_VERDICT
